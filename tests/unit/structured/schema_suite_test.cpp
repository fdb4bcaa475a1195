// Goal: grammars of schemas take no instance that is not valid, and those that are unless json_schema.h says that they
// are narrower; what is not supported is refused by a keyword's name. Method: the JSON Schema Test Suite for draft
// 2020-12 (tests/tools/make_schema_suite.py), whose verdicts are the expected ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <sstream>

#include "tests/support/zstd_file.h"
#include "tests/unit/structured/support.h"

namespace switchyard::structured {
namespace {

namespace json = boost::json;

// A JSON text as a tree whose keys and scalars are as they were written.
struct Node {
  std::string text = {};                               // of a scalar
  char open = 0;                                       // '{', '[', or 0
  std::vector<std::pair<std::string, Node>> has = {};  // with keys in an object
};

class InstanceReader {
 public:
  explicit InstanceReader(std::string_view text) : text_(text) {}
  Node read() {
    Node node;
    const char c = text_[at_];
    if (c != '{' && c != '[') {
      node.text = scalar();
      return node;
    }
    node.open = c;
    ++at_;
    while (text_[at_] != '}' && text_[at_] != ']') {
      if (text_[at_] == ',') ++at_;
      std::string key;
      if (c == '{') {
        key = scalar();
        ++at_;
      }
      node.has.emplace_back(std::move(key), read());
    }
    ++at_;
    return node;
  }

 private:
  std::string scalar() {
    const size_t from = at_;
    if (text_[at_] == '"') {
      for (++at_; text_[at_] != '"'; ++at_)
        if (text_[at_] == '\\') ++at_;
      ++at_;
    } else {
      at_ = std::min(text_.find_first_of(",:]}", at_), text_.size());
    }
    return std::string(text_.substr(from, at_ - from));
  }

  std::string_view text_;
  size_t at_ = 0;
};

struct Style {
  const char* comma;
  const char* colon;
  bool lines;  // as people indent
};
constexpr Style kCompact{",", ":", false};
constexpr Style kStyles[] = {kCompact, {", ", ": ", false}, {",", ": ", true}};

std::string written(const Node& node, const Style& style, size_t depth = 1) {
  if (node.open == 0) return node.text;
  std::string text(1, node.open);
  const auto line = [&](size_t indents) { return style.lines ? "\n" + std::string(2 * indents, ' ') : ""; };
  for (size_t i = 0; i < node.has.size(); ++i) {
    if (i > 0) text += style.comma;
    text += line(depth);
    if (node.open == '{') text += node.has[i].first + style.colon;
    text += written(node.has[i].second, style, depth + 1);
  }
  if (!node.has.empty()) text += line(depth - 1);
  return text + (node.open == '{' ? "}" : "]");
}

// What means the same: other orders of members, and whole numbers without a point.
std::vector<Node> same(const Node& node) {
  constexpr size_t kMost = 300;
  if (node.open == 0) {
    std::vector<Node> all{node};
    const size_t point = node.text.find('.');
    if (node.text[0] != '"' && point != std::string::npos &&
        node.text.find_first_not_of("0", point + 1) == std::string::npos)
      all.push_back({.text = node.text.substr(0, point)});
    return all;
  }
  std::vector<Node> all;
  std::vector<size_t> order(node.has.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  do {
    std::vector<Node> partial{{.open = node.open}};
    for (const size_t i : order) {
      std::vector<Node> longer;
      for (const Node& begun : partial) {
        for (Node& value : same(node.has[i].second)) {
          longer.push_back(begun);
          longer.back().has.emplace_back(node.has[i].first, std::move(value));
        }
      }
      partial = std::move(longer);
      if (partial.size() > kMost) break;
    }
    for (Node& one : partial) all.push_back(std::move(one));
  } while (all.size() < kMost && node.open == '{' && std::next_permutation(order.begin(), order.end()));
  return all;
}

// Deliberate narrowings (json_schema.h, formats.h, json_text.h): valid instances that are not taken.
struct Narrowing {
  const char* file;
  const char* test;  // a part of its name
  const char* why;
};
constexpr Narrowing kNarrowings[] = {
    {"format", "is only an annotation by default", "formats assert"},
    {"optional/bignum", "", "numbers have at most 18 digits"},
    {"optional/format/date-time", "leap second", "times have none"},
    {"optional/format/date-time", "case-insensitive", "T and Z are capitals"},
    {"optional/format/time", "leap second", "times have none"},
    {"optional/format/time", "case-insensitive", "Z is a capital"},
    {"optional/format/email", "quoted string", "local parts are not quoted"},
    {"optional/format/email", "address-literal", "domains are names"},
    {"optional/format/hostname", "maximum label length", "labels have at most 32 letters"},
    {"optional/format/ipv6", "mixed format", "all groups are hexadecimal"},
    {"optional/format/ipv6", "a long valid ipv6", "all groups are hexadecimal"},
    {"optional/format/uri", "many special characters", "authorities are host names"},
    {"optional/format/uri", "a valid URL ", "authorities are host names"},
    {"optional/format/uri", "a valid mailto URI", "there is an authority"},
    {"optional/format/uri", "a valid newsgroup URI", "there is an authority"},
    {"optional/format/uri", "a valid tel URI", "there is an authority"},
    {"optional/format/uri", "a valid URN", "there is an authority"},
    {"vocabulary", "invalid number, but it still validates",
     "every schema is read as of the standard's own vocabulary"},
};

bool is_narrowing(const std::string& file, const std::string& test) {
  return std::any_of(std::begin(kNarrowings), std::end(kNarrowings),
                     [&](const Narrowing& n) { return file == n.file && test.find(n.test) != std::string::npos; });
}

// Whether a message quotes a key of the schema.
bool names_keyword(const std::string& message, const json::value& schema) {
  if (const json::array* list = schema.if_array())
    return std::any_of(list->begin(), list->end(), [&](const json::value& v) { return names_keyword(message, v); });
  const json::object* object = schema.if_object();
  return object != nullptr && std::any_of(object->begin(), object->end(), [&](const auto& member) {
           return message.find('"' + std::string(member.key()) + '"') != std::string::npos ||
                  names_keyword(message, member.value());
         });
}

std::string text_of(const json::value& value) { return json::value_to<std::string>(value); }

TEST(JsonSchemaSuite, GrammarsTakeWhatIsValidAndNothingElse) {
  std::istringstream lines(
      switchyard::testing::read_zstd_file(SWITCHYARD_TEST_DATA "/schema_suite/draft2020-12.jsonl.zst"));
  size_t accepted = 0, refused = 0, taken = 0, reordered = 0, narrowed = 0, rejected = 0;
  for (std::string line; std::getline(lines, line);) {
    json::parse_options options;
    options.max_depth = 200;
    const json::value group = json::parse(line, {}, options);
    const std::string file = text_of(group.at("file"));
    const std::string name = text_of(group.at("group"));
    const Constraint open{
        .kind = Constraint::Kind::kJsonSchema, .text = json::serialize(group.at("schema")), .open_objects = true};
    Constraint closed = open;
    closed.open_objects = false;
    const auto compiled = compile(open);
    if (!compiled.ok()) {
      ++refused;
      const std::string& message = compiled.error().message;
      // What takes no instance, or is no schema, has none to name.
      const bool none =
          message.ends_with("matches no text") || message.find("the regular expression") != std::string::npos;
      EXPECT_TRUE(none || names_keyword(message, group.at("schema"))) << open.text << "\n  " << message;
      if (message.ends_with("matches no text")) {
        for (const json::value& test : group.at("tests").as_array())
          EXPECT_FALSE(test.at("valid").as_bool()) << open.text;
      }
      continue;
    }
    ++accepted;
    // Values of "enum" and "const" are taken in their compact form alone.
    const bool compact_only =
        open.text.find("\"const\"") != std::string::npos || open.text.find("\"enum\"") != std::string::npos;
    const auto vocabulary = bytes_and({});
    const auto masks = masks_of(open, vocabulary);
    const auto narrow = compile(closed).ok() ? masks_of(closed, vocabulary) : nullptr;
    for (const json::value& test : group.at("tests").as_array()) {
      const std::string data = text_of(test.at("data"));
      const std::string title = text_of(test.at("test"));
      const Node instance = InstanceReader(data).read();
      const std::string where = file + ": " + name + ": " + title + "\n  " + open.text + "\n  " + data;
      ASSERT_EQ(written(instance, kCompact), data) << where;
      if (!test.at("valid").as_bool()) {
        for (const Node& one : same(instance)) {
          for (const Style& style : kStyles) {
            EXPECT_FALSE(accepts(masks, written(one, style))) << where;
            EXPECT_FALSE(narrow != nullptr && accepts(narrow, written(one, style))) << "closed: " << where;
          }
        }
        ++rejected;
        continue;
      }
      size_t tried = 0;
      bool found = false;
      for (const Node& one : same(instance)) {
        if (!accepts(masks, written(one, kCompact))) {
          ++tried;
          continue;
        }
        for (const Style& style : kStyles) {
          EXPECT_TRUE(compact_only || accepts(masks, written(one, style))) << where << "\n" << written(one, style);
        }
        found = true;
        break;
      }
      if (found) {
        (tried == 0 ? taken : reordered) += 1;
      } else {
        ++narrowed;
        EXPECT_TRUE(is_narrowing(file, title)) << "valid, but not taken: " << where;
      }
    }
  }
  std::printf(
      "schemas: %zu accepted, %zu refused; valid instances: %zu taken, %zu in another order or form, %zu not "
      "(deliberately); invalid ones: %zu refused\n",
      accepted, refused, taken, reordered, narrowed, rejected);
  EXPECT_GE(accepted, 190U);
  EXPECT_GE(taken, 500U);
  EXPECT_GE(rejected, 390U);
}

}  // namespace
}  // namespace switchyard::structured
