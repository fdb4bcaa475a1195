// Filters on sequences and mappings.
#include <fmt/format.h>

#include <algorithm>

#include "common/text/jinja/builtins.h"
#include "common/text/jinja/interpreter.h"
#include "common/text/jinja/python_text.h"

namespace switchyard::text::jinja {
namespace {

std::vector<Value> items_of(Interpreter& interpreter, const Value& value) { return interpreter.items(value); }

// Arguments without the first `count` positional ones.
Arguments rest(const Arguments& a, size_t count) {
  Arguments out;
  out.positional.assign(a.positional.begin() + static_cast<std::ptrdiff_t>(std::min(count, a.positional.size())),
                        a.positional.end());
  out.named = a.named;
  return out;
}

// The value that sort, unique, min, max and groupby look at.
Value key_of(Interpreter& interpreter, const Value& item, const Value* attribute, bool case_sensitive) {
  if (attribute == nullptr || attribute->is_none()) return fold_case(item, case_sensitive);
  return fold_case(attribute_path(interpreter, item, *attribute), case_sensitive);
}

Value length_filter(Interpreter&, const Value& value, Arguments&) { return length(value); }

Value first(Interpreter& interpreter, const Value& value, Arguments&) {
  // A generator gives up one item only.
  if (value.is_kind(SequenceKind::kGenerator)) {
    auto& sequence = value.sequence();
    if (sequence.consumed < sequence.items.size()) return sequence.items[sequence.consumed++];
  } else if (value.is_sequence()) {
    if (!value.sequence().items.empty()) return value.sequence().items[0];
  } else {
    const auto items = interpreter.items(value);
    if (!items.empty()) return items[0];
  }
  return Value::undefined("No first item, sequence was empty.");
}

Value last(Interpreter& interpreter, const Value& value, Arguments&) {
  if (value.is_kind(SequenceKind::kGenerator)) fail("'generator' object is not reversible");
  if (value.is_sequence()) {
    return value.sequence().items.empty() ? Value::undefined("No last item, sequence was empty.")
                                          : value.sequence().items.back();
  }
  const auto items = interpreter.items(value);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value join(Interpreter& interpreter, const Value& value, Arguments& a) {
  const auto p = bind("join", a, {"d", "attribute"});
  const std::string separator = p[0] == nullptr ? "" : to_text(*p[0]);
  std::string out;
  bool begun = false;
  for (const auto& item : items_of(interpreter, value)) {
    const size_t before = out.size();
    const Value part = p[1] == nullptr || p[1]->is_none() ? item : attribute_path(interpreter, item, *p[1]);
    require_memory(before + separator.size() + (part.is_text() ? part.text().size() : 0));
    if (begun) out += separator;
    begun = true;
    append_text(out, part);
    interpreter.charge_bytes(out.size() - before);
  }
  return out;
}

Value list_filter(Interpreter& interpreter, const Value& value, Arguments&) {
  return make_list(items_of(interpreter, value));
}

Value map(Interpreter& interpreter, const Value& value, Arguments& a) {
  std::vector<Value> out;
  if (a.positional.empty() && !a.named.empty() && a.named[0].first != "attribute" && a.named[0].first != "default") {
    fail(fmt::format("Unexpected keyword argument '{}'", a.named[0].first));
  }
  if (a.positional.empty()) {
    const auto p = bind("map", a, {"attribute", "default"});
    if (p[0] == nullptr) fail("map requires a filter argument");
    for (const auto& item : items_of(interpreter, value)) out.push_back(attribute_path(interpreter, item, *p[0], p[1]));
    return make_generator(std::move(out));
  }
  const std::string name = text_argument("map", a.positional[0]);
  for (const auto& item : items_of(interpreter, value)) {
    Arguments arguments = rest(a, 1);
    out.push_back(interpreter.filter(name, item, arguments));
  }
  return make_generator(std::move(out));
}

// select, reject, selectattr and rejectattr. skip: arguments before the name of the test.
Value select_by(Interpreter& interpreter, const Value& value, Arguments& a, bool wanted, bool by_attribute) {
  const size_t skip = by_attribute ? 1 : 0;
  if (a.positional.size() < skip) fail("Missing parameter for attribute name");
  std::vector<Value> out;
  for (auto& item : items_of(interpreter, value)) {
    const Value looked_at = by_attribute ? attribute_path(interpreter, item, a.positional[0]) : item;
    bool holds = false;
    if (a.positional.size() > skip) {
      Arguments arguments = rest(a, skip + 1);
      holds = interpreter.test(text_argument("select", a.positional[skip]), looked_at, arguments);
    } else {
      holds = truth(looked_at);
    }
    if (holds == wanted) out.push_back(std::move(item));
  }
  return make_generator(std::move(out));
}

// By keys that were computed before; stable.
void sort_by(std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
  // Python's reverse keeps equal items in their order.
  std::stable_sort(keyed.begin(), keyed.end(), [reverse](const auto& a, const auto& b) {
    return reverse ? compare(b.first, a.first, "<") < 0 : compare(a.first, b.first, "<") < 0;
  });
}

Value sort(Interpreter& interpreter, const Value& value, Arguments& a) {
  const auto p = bind("sort", a, {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = flag(p[1], false);
  std::vector<std::pair<Value, Value>> keyed;
  for (auto& item : items_of(interpreter, value)) {
    Value key;
    if (p[2] != nullptr && p[2]->is_text()) {
      std::vector<Value> parts;
      for (const auto& path : split(p[2]->text(), ",", -1, false)) {
        parts.push_back(fold_case(attribute_path(interpreter, item, Value(path)), case_sensitive));
      }
      key = make_list(std::move(parts));
    } else {
      key = key_of(interpreter, item, p[2], case_sensitive);
    }
    keyed.emplace_back(std::move(key), std::move(item));
  }
  interpreter.charge_steps(keyed.size() * 8);
  sort_by(keyed, flag(p[0], false));
  std::vector<Value> out;
  out.reserve(keyed.size());
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return make_list(std::move(out));
}

Value unique(Interpreter& interpreter, const Value& value, Arguments& a) {
  const auto p = bind("unique", a, {"case_sensitive", "attribute"});
  auto seen = std::make_shared<Dict>();
  std::vector<Value> out;
  for (auto& item : items_of(interpreter, value)) {
    const Value key = key_of(interpreter, item, p[1], flag(p[0], false));
    if (!key.is_text()) interpreter.charge_steps(seen->entries.size() / 8);
    if (seen->find(key) != nullptr) continue;
    seen->set(key, Value());
    out.push_back(std::move(item));
  }
  return make_generator(std::move(out));
}

Value extreme(Interpreter& interpreter, const Value& value, Arguments& a, bool greatest) {
  const auto p = bind(greatest ? "max" : "min", a, {"case_sensitive", "attribute"});
  const auto items = items_of(interpreter, value);
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  Value best_key = key_of(interpreter, items[0], p[1], flag(p[0], false));
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    Value key = key_of(interpreter, items[i], p[1], flag(p[0], false));
    const int order = compare(key, best_key, greatest ? ">" : "<");
    if (greatest ? order <= 0 : order >= 0) continue;
    best_key = std::move(key);
    best = i;
  }
  return items[best];
}

Value sum(Interpreter& interpreter, const Value& value, Arguments& a) {
  const auto p = bind("sum", a, {"attribute", "start"});
  Value out = p[1] == nullptr ? Value(0) : *p[1];
  if (out.is_text()) fail("sum() can't sum strings [use ''.join(seq) instead]");
  for (const auto& item : items_of(interpreter, value)) {
    if (out.is_sequence()) interpreter.charge_bytes(out.sequence().items.size() * sizeof(Value));
    out = add(out, p[0] == nullptr || p[0]->is_none() ? item : attribute_path(interpreter, item, *p[0]));
  }
  return out;
}

Value reverse(Interpreter& interpreter, const Value& value, Arguments&) {
  auto items = items_of(interpreter, value);
  std::reverse(items.begin(), items.end());
  if (!value.is_text()) return make_generator(std::move(items));
  std::string out;
  for (const auto& item : items) out += item.text();
  return out;
}

Value items_filter(Interpreter&, const Value& value, Arguments&) {
  if (value.is_undefined()) return make_generator({});
  if (!value.is_dict()) fail("Can only get item pairs from a mapping.");
  std::vector<Value> out;
  for (const auto& [key, item] : value.dict().entries) out.push_back(make_tuple({key, item}));
  return make_generator(std::move(out));
}

Value dict_sort(Interpreter& interpreter, const Value& value, Arguments& a) {
  const auto p = bind("dictsort", a, {"case_sensitive", "by", "reverse"});
  const std::string by = p[1] == nullptr ? "key" : to_text(*p[1]);
  if (by != "key" && by != "value") fail("You can only sort by either \"key\" or \"value\"");
  if (!value.is_dict()) fail(fmt::format("'{}' object has no attribute 'items'", type_name(value)));
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, item] : value.dict().entries) {
    keyed.emplace_back(fold_case(by == "key" ? key : item, flag(p[0], false)), make_tuple({key, item}));
  }
  interpreter.charge_steps(keyed.size() * 8);
  sort_by(keyed, flag(p[2], false));
  std::vector<Value> out;
  out.reserve(keyed.size());
  for (auto& [key, pair] : keyed) out.push_back(std::move(pair));
  return make_list(std::move(out));
}

Value group_by(Interpreter& interpreter, const Value& value, Arguments& a) {
  static const char* const kNames[] = {"grouper", "list", nullptr};
  const auto p = bind("groupby", a, {"attribute", "default", "case_sensitive"}, 1);
  const bool case_sensitive = flag(p[2], false);
  std::vector<std::pair<Value, Value>> keyed;
  for (auto& item : items_of(interpreter, value)) {
    Value key = attribute_path(interpreter, item, *p[0], p[1]);
    keyed.emplace_back(fold_case(key, case_sensitive), std::move(item));
  }
  interpreter.charge_steps(keyed.size() * 8);
  sort_by(keyed, false);
  std::vector<Value> out;
  for (size_t i = 0; i < keyed.size();) {
    size_t j = i;
    std::vector<Value> group;
    for (; j < keyed.size() && equal(keyed[j].first, keyed[i].first); ++j) group.push_back(keyed[j].second);
    Value name = attribute_path(interpreter, group[0], *p[0], p[1]);
    Value pair = make_tuple({std::move(name), make_list(std::move(group))});
    pair.sequence().names = kNames;
    out.push_back(std::move(pair));
    i = j;
  }
  return make_list(std::move(out));
}

Value batch(Interpreter& interpreter, const Value& value, Arguments& a) {
  const auto p = bind("batch", a, {"linecount", "fill_with"}, 1);
  const int64_t size = p[0]->as_index("batch");
  if (size < 1 || size > 100'000) fail("batch: the size is out of range");
  std::vector<Value> out, line;
  for (auto& item : items_of(interpreter, value)) {
    if (static_cast<int64_t>(line.size()) == size) out.push_back(make_list(std::exchange(line, {})));
    line.push_back(std::move(item));
  }
  if (!line.empty()) {
    while (p[1] != nullptr && !p[1]->is_none() && static_cast<int64_t>(line.size()) < size) line.push_back(*p[1]);
    out.push_back(make_list(std::move(line)));
  }
  return make_generator(std::move(out));
}

Value slice_filter(Interpreter& interpreter, const Value& value, Arguments& a) {
  const auto p = bind("slice", a, {"slices", "fill_with"}, 1);
  const int64_t slices = p[0]->as_index("slice");
  if (slices < 1 || slices > 100'000) fail("slice: the number is out of range");
  const auto items = items_of(interpreter, value);
  const auto count = static_cast<int64_t>(items.size());
  const int64_t each = count / slices, more = count % slices;
  std::vector<Value> out;
  int64_t at = 0;
  for (int64_t i = 0; i < slices; ++i) {
    const int64_t end = at + each + (i < more ? 1 : 0);
    std::vector<Value> part(items.begin() + at, items.begin() + end);
    if (p[1] != nullptr && !p[1]->is_none() && i >= more) part.push_back(*p[1]);
    out.push_back(make_list(std::move(part)));
    at = end;
  }
  return make_generator(std::move(out));
}

const NamedFilter kFilters[] = {
    {"batch", batch},
    {"count", length_filter},
    {"dictsort", dict_sort},
    {"first", first},
    {"groupby", group_by},
    {"items", items_filter},
    {"join", join},
    {"last", last},
    {"length", length_filter},
    {"list", list_filter},
    {"map", map},
    {"max", [](Interpreter& i, const Value& v, Arguments& a) { return extreme(i, v, a, true); }},
    {"min", [](Interpreter& i, const Value& v, Arguments& a) { return extreme(i, v, a, false); }},
    {"reject", [](Interpreter& i, const Value& v, Arguments& a) { return select_by(i, v, a, false, false); }},
    {"rejectattr", [](Interpreter& i, const Value& v, Arguments& a) { return select_by(i, v, a, false, true); }},
    {"reverse", reverse},
    {"select", [](Interpreter& i, const Value& v, Arguments& a) { return select_by(i, v, a, true, false); }},
    {"selectattr", [](Interpreter& i, const Value& v, Arguments& a) { return select_by(i, v, a, true, true); }},
    {"slice", slice_filter},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

FilterFunction find_sequence_filter(std::string_view name) {
  for (const auto& entry : kFilters) {
    if (name == entry.name) return entry.function;
  }
  return nullptr;
}

}  // namespace switchyard::text::jinja
