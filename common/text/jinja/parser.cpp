#include "common/text/jinja/parser.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>

#include "common/text/jinja/lexer.h"

namespace switchyard::text::jinja {
namespace {

// Expressions and blocks may nest to here: the parser, the interpreter and the destructors recurse.
constexpr int kMaxNesting = 150;

class Parser {
 public:
  Parser(std::vector<Token> tokens, Template& out) : tokens_(std::move(tokens)), template_(out) {}

  Body run() {
    Body body;
    body_until({}, body, "");
    return body;
  }

 private:
  // ---- tokens ----
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool is_op(std::string_view op) const { return now().kind == TokenKind::kOperator && now().text == op; }
  bool is_name(std::string_view name) const { return now().kind == TokenKind::kName && now().text == name; }
  bool skip_op(std::string_view op) {
    if (!is_op(op)) return false;
    ++at_;
    return true;
  }
  bool skip_name(std::string_view name) {
    if (!is_name(name)) return false;
    ++at_;
    return true;
  }

  [[noreturn]] static void fail_at(Position position, std::string message) {
    throw TemplateError{std::move(message), false, position};
  }
  [[noreturn]] void fail_here(std::string message) const { fail_at(now().position, std::move(message)); }
  [[noreturn]] void unexpected(std::string_view expected) const {
    std::string got;
    switch (now().kind) {
      case TokenKind::kEnd: got = "end of template"; break;
      case TokenKind::kBlockEnd: got = "end of statement block"; break;
      case TokenKind::kVariableEnd: got = "end of print statement"; break;
      case TokenKind::kData: got = "template data"; break;
      default: got = fmt::format("'{}'", now().text);
    }
    fail_here(expected.empty() ? fmt::format("unexpected {}", got) : fmt::format("expected {}, got {}", expected, got));
  }
  void expect_op(std::string_view op) {
    if (!skip_op(op)) unexpected(fmt::format("token '{}'", op));
  }
  void expect_block_end() {
    if (now().kind != TokenKind::kBlockEnd) unexpected("end of statement block");
    ++at_;
  }
  std::string expect_name() {
    if (now().kind != TokenKind::kName) unexpected("a name");
    return tokens_[at_++].text;
  }

  struct Nest {
    explicit Nest(Parser& parser) : p(parser) {
      if (++p.nesting_ > kMaxNesting) p.fail_here(fmt::format("the template is nested deeper than {}", kMaxNesting));
    }
    ~Nest() { --p.nesting_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;
    Parser& p;
  };

  ExpressionPtr make(ExpressionKind kind, Position position) const {
    auto out = std::make_unique<Expression>();
    out->kind = kind;
    out->position = position;
    return out;
  }
  ExpressionPtr make(ExpressionKind kind, Position position, ExpressionPtr a, ExpressionPtr b = nullptr) const {
    auto out = make(kind, position);
    out->children.push_back(std::move(a));
    if (b) out->children.push_back(std::move(b));
    return out;
  }
  ExpressionPtr constant(Value value, Position position) const {
    auto out = make(ExpressionKind::kConstant, position);
    out->constant = std::move(value);
    return out;
  }
  ExpressionPtr name_expression(const std::string& name, Position position) {
    auto out = make(ExpressionKind::kName, position);
    out->text = name;
    out->name = template_.intern(name);
    for (auto* macro : macros_) {
      macro->uses_varargs = macro->uses_varargs || name == "varargs";
      macro->uses_kwargs = macro->uses_kwargs || name == "kwargs";
      macro->uses_caller = macro->uses_caller || name == "caller";
    }
    return out;
  }

  // ---- expressions, loosest first ----

  ExpressionPtr expression(bool with_condition = true) {
    Nest nest(*this);
    if (!with_condition) return or_expression();
    auto left = or_expression();
    while (is_name("if")) {
      const Position position = now().position;
      ++at_;
      auto test = or_expression();
      ExpressionPtr otherwise = skip_name("else") ? expression() : nullptr;
      auto out = make(ExpressionKind::kCondition, position, std::move(left), std::move(test));
      out->children.push_back(std::move(otherwise));
      left = std::move(out);
    }
    return left;
  }

  template <typename Next>
  ExpressionPtr joined(ExpressionKind kind, std::string_view word, const Next& next) {
    auto first = next();
    if (!is_name(word)) return first;
    auto out = make(kind, now().position, std::move(first));
    while (skip_name(word)) out->children.push_back(next());
    return out;
  }

  ExpressionPtr or_expression() {
    return joined(ExpressionKind::kOr, "or", [this] { return and_expression(); });
  }
  ExpressionPtr and_expression() {
    return joined(ExpressionKind::kAnd, "and", [this] { return not_expression(); });
  }
  ExpressionPtr not_expression() {
    if (is_name("not")) {
      Nest nest(*this);
      const Position position = now().position;
      ++at_;
      return make(ExpressionKind::kNot, position, not_expression());
    }
    return comparison();
  }

  ExpressionPtr comparison() {
    auto first = sum();
    ExpressionPtr out;
    for (;;) {
      std::string op;
      const Position position = now().position;
      if (now().kind == TokenKind::kOperator &&
          (is_op("==") || is_op("!=") || is_op("<") || is_op(">") || is_op("<=") || is_op(">="))) {
        op = now().text;
        ++at_;
      } else if (skip_name("in")) {
        op = "in";
      } else if (is_name("not") && ahead().kind == TokenKind::kName && ahead().text == "in") {
        at_ += 2;
        op = "not in";
      } else {
        break;
      }
      if (!out) out = make(ExpressionKind::kCompare, position, std::move(first));
      out->operators.push_back(op);
      out->children.push_back(sum());
    }
    return out ? std::move(out) : std::move(first);
  }

  template <typename Next>
  ExpressionPtr binary(std::initializer_list<std::string_view> ops, const Next& next) {
    auto left = next();
    int chain = 0;
    for (;;) {
      const auto found = std::find_if(ops.begin(), ops.end(), [this](std::string_view op) { return is_op(op); });
      if (found == ops.end()) return left;
      // A long chain is a deep tree.
      if (++chain > 4 * kMaxNesting) fail_here("too many operators in a row");
      const Position position = now().position;
      ++at_;
      left = make(ExpressionKind::kBinary, position, std::move(left), next());
      left->text = *found;
    }
  }

  ExpressionPtr sum() {
    return binary({"+", "-"}, [this] { return concatenation(); });
  }
  ExpressionPtr concatenation() {
    auto first = product();
    if (!is_op("~")) return first;
    auto out = make(ExpressionKind::kConcat, now().position, std::move(first));
    while (skip_op("~")) out->children.push_back(product());
    return out;
  }
  ExpressionPtr product() {
    return binary({"*", "/", "//", "%"}, [this] { return power_expression(); });
  }
  ExpressionPtr power_expression() {
    return binary({"**"}, [this] { return unary(true); });
  }

  ExpressionPtr unary(bool with_filter) {
    Nest nest(*this);
    ExpressionPtr out;
    const Position position = now().position;
    if (skip_op("-")) {
      out = make(ExpressionKind::kNegative, position, unary(false));
    } else if (skip_op("+")) {
      out = make(ExpressionKind::kPositive, position, unary(false));
    } else {
      out = primary();
    }
    out = postfix(std::move(out));
    return with_filter ? filters_and_tests(std::move(out)) : std::move(out);
  }

  ExpressionPtr primary() {
    const Token token = now();
    switch (token.kind) {
      case TokenKind::kName: {
        ++at_;
        if (token.text == "true" || token.text == "True") return constant(true, token.position);
        if (token.text == "false" || token.text == "False") return constant(false, token.position);
        if (token.text == "none" || token.text == "None") return constant(Value(), token.position);
        return name_expression(token.text, token.position);
      }
      case TokenKind::kString: {
        std::string text;
        while (now().kind == TokenKind::kString) text += tokens_[at_++].text;
        return constant(std::move(text), token.position);
      }
      case TokenKind::kInteger: {
        ++at_;
        const char second = token.text.size() > 1 ? static_cast<char>(token.text[1] | 0x20) : '\0';
        const int base = second == 'x' ? 16 : second == 'o' ? 8 : second == 'b' ? 2 : 10;
        return constant(
            BigInt::parse(base == 10 ? std::string_view(token.text) : std::string_view(token.text).substr(2), base),
            token.position);
      }
      case TokenKind::kFloat: ++at_; return constant(std::strtod(token.text.c_str(), nullptr), token.position);
      case TokenKind::kOperator: break;
      default: unexpected("");
    }
    if (skip_op("(")) {
      auto out = tuple(true, true, {});
      expect_op(")");
      return out;
    }
    if (skip_op("[")) {
      auto out = make(ExpressionKind::kList, token.position);
      while (!is_op("]")) {
        if (!out->children.empty()) expect_op(",");
        if (is_op("]")) break;
        out->children.push_back(expression());
      }
      expect_op("]");
      return out;
    }
    if (skip_op("{")) {
      auto out = make(ExpressionKind::kDict, token.position);
      while (!is_op("}")) {
        if (!out->children.empty()) expect_op(",");
        if (is_op("}")) break;
        out->children.push_back(expression());
        expect_op(":");
        out->children.push_back(expression());
      }
      expect_op("}");
      return out;
    }
    unexpected("");
  }

  bool at_tuple_end(std::initializer_list<std::string_view> more) const {
    if (now().kind == TokenKind::kVariableEnd || now().kind == TokenKind::kBlockEnd || is_op(")")) return true;
    return std::any_of(more.begin(), more.end(), [this](std::string_view word) { return is_name(word); });
  }

  // One expression, or several with commas. parentheses: an empty one is allowed.
  ExpressionPtr tuple(bool with_condition, bool parentheses, std::initializer_list<std::string_view> end_words) {
    const Position position = now().position;
    auto out = make(ExpressionKind::kTuple, position);
    bool comma = false;
    for (;;) {
      if (!out->children.empty()) {
        if (!skip_op(",")) break;
        comma = true;
      }
      if (at_tuple_end(end_words)) break;
      out->children.push_back(expression(with_condition));
      if (!is_op(",")) break;
    }
    if (!comma && out->children.size() == 1) return std::move(out->children[0]);
    if (out->children.empty() && !parentheses) unexpected("an expression");
    return out;
  }

  ExpressionPtr postfix(ExpressionPtr out) {
    for (int chain = 0;; ++chain) {
      if (chain > 4 * kMaxNesting) fail_here("too many operators in a row");
      if (is_op(".") || is_op("[")) {
        out = subscript(std::move(out));
      } else if (is_op("(")) {
        out = call(std::move(out));
      } else {
        return out;
      }
    }
  }

  ExpressionPtr filters_and_tests(ExpressionPtr out) {
    for (int chain = 0;; ++chain) {
      if (chain > 4 * kMaxNesting) fail_here("too many operators in a row");
      if (is_op("|")) {
        out = filter(std::move(out), false);
      } else if (is_name("is")) {
        out = test(std::move(out));
      } else if (is_op("(")) {
        out = call(std::move(out));
      } else {
        return out;
      }
    }
  }

  ExpressionPtr subscript(ExpressionPtr object) {
    const Position position = now().position;
    if (skip_op(".")) {
      if (now().kind == TokenKind::kName) {
        auto out = make(ExpressionKind::kAttribute, position, std::move(object));
        out->text = tokens_[at_++].text;
        return out;
      }
      if (now().kind != TokenKind::kInteger) unexpected("name or number");
      auto index = primary();
      return make(ExpressionKind::kItem, position, std::move(object), std::move(index));
    }
    expect_op("[");
    // A slice, one index, or several as a tuple.
    std::vector<ExpressionPtr> parts;
    bool comma = false;
    bool slice = false;
    while (!is_op("]")) {
      if (!parts.empty()) {
        expect_op(",");
        comma = true;
      }
      ExpressionPtr first;
      if (!is_op(":")) first = expression();
      if (!is_op(":")) {
        parts.push_back(std::move(first));
        continue;
      }
      ++at_;
      slice = true;
      auto range = make(ExpressionKind::kSlice, position);
      range->children.push_back(nullptr);
      range->children.push_back(std::move(first));
      range->children.push_back(is_op(":") || is_op("]") || is_op(",") ? nullptr : expression());
      const bool step = skip_op(":") && !is_op("]") && !is_op(",");
      range->children.push_back(step ? expression() : nullptr);
      parts.push_back(std::move(range));
    }
    expect_op("]");
    if (parts.empty()) unexpected("an expression");
    if (slice && (comma || parts.size() > 1)) fail_here("a slice in a tuple is not supported");
    if (slice) {
      parts[0]->children[0] = std::move(object);
      return std::move(parts[0]);
    }
    if (!comma) return make(ExpressionKind::kItem, position, std::move(object), std::move(parts[0]));
    auto index = make(ExpressionKind::kTuple, position);
    index->children = std::move(parts);
    return make(ExpressionKind::kItem, position, std::move(object), std::move(index));
  }

  void call_arguments(CallArguments& out) {
    expect_op("(");
    bool comma_needed = false;
    while (!is_op(")")) {
      if (comma_needed) {
        expect_op(",");
        if (is_op(")")) break;
      }
      if (skip_op("**")) {
        if (out.star_star) fail_here("invalid syntax for function call expression");
        out.star_star = expression();
      } else if (skip_op("*")) {
        if (out.star || out.star_star) fail_here("invalid syntax for function call expression");
        out.star = expression();
      } else if (now().kind == TokenKind::kName && ahead().kind == TokenKind::kOperator && ahead().text == "=") {
        if (out.star_star) fail_here("invalid syntax for function call expression");
        std::string name = expect_name();
        ++at_;
        out.named.emplace_back(std::move(name), expression());
      } else {
        if (out.star || out.star_star || !out.named.empty()) fail_here("invalid syntax for function call expression");
        out.positional.push_back(expression());
      }
      comma_needed = true;
    }
    expect_op(")");
  }

  ExpressionPtr call(ExpressionPtr callee) {
    auto out = make(ExpressionKind::kCall, now().position, std::move(callee));
    call_arguments(out->arguments);
    return out;
  }

  std::string dotted_name() {
    std::string name = expect_name();
    while (skip_op(".")) name += "." + expect_name();
    return name;
  }

  // start_inline: the first filter has no bar before it. One filter or, at a block, a chain.
  ExpressionPtr filter(ExpressionPtr value, bool start_inline) {
    const bool chain = start_inline || !value;
    bool first = start_inline;
    do {
      if (!first) expect_op("|");
      first = false;
      const Position position = now().position;
      auto out = make(ExpressionKind::kFilter, position);
      out->children.push_back(std::move(value));
      out->text = dotted_name();
      if (is_op("(")) call_arguments(out->arguments);
      value = std::move(out);
    } while (chain && is_op("|"));
    return value;
  }

  ExpressionPtr test(ExpressionPtr value) {
    const Position position = now().position;
    ++at_;
    const bool negated = skip_name("not");
    auto out = make(ExpressionKind::kTest, position, std::move(value));
    out->text = dotted_name();
    if (is_op("(")) {
      call_arguments(out->arguments);
    } else {
      const auto kind = now().kind;
      const bool argument = kind == TokenKind::kName || kind == TokenKind::kString || kind == TokenKind::kInteger ||
                            kind == TokenKind::kFloat || is_op("(") || is_op("[") || is_op("{");
      if (argument && !is_name("else") && !is_name("or") && !is_name("and")) {
        if (is_name("is")) fail_here("You cannot chain multiple tests with is");
        out->arguments.positional.push_back(postfix(primary()));
      }
    }
    return negated ? make(ExpressionKind::kNot, position, std::move(out)) : std::move(out);
  }

  // ---- statements ----

  bool at_word(std::initializer_list<std::string_view> words) const {
    return std::any_of(words.begin(), words.end(), [this](std::string_view word) { return is_name(word); });
  }

  // Statements up to a tag of one of the words, which is left behind its "{%"; up to the end for none.
  void body_until(std::initializer_list<std::string_view> words, Body& out, std::string_view block) {
    Nest nest(*this);
    for (;;) {
      const Position position = now().position;
      switch (now().kind) {
        case TokenKind::kData: {
          auto statement = make_statement(StatementKind::kData, position);
          statement->text = tokens_[at_++].text;
          out.push_back(std::move(statement));
          break;
        }
        case TokenKind::kVariableBegin: {
          ++at_;
          auto statement = make_statement(StatementKind::kPrint, position);
          statement->value = tuple(true, false, {});
          if (now().kind != TokenKind::kVariableEnd) unexpected("end of print statement");
          ++at_;
          out.push_back(std::move(statement));
          break;
        }
        case TokenKind::kBlockBegin:
          ++at_;
          if (at_word(words)) return;
          out.push_back(statement(words, block));
          break;
        case TokenKind::kEnd:
          if (words.size() == 0) return;
          fail_here(
              fmt::format("Unexpected end of template. Jinja was looking for the following tags: '{}'. The innermost "
                          "block that needs to be closed is '{}'.",
                          fmt::join(words, "' or '"), block));
        default: unexpected("");
      }
    }
  }

  std::unique_ptr<Statement> make_statement(StatementKind kind, Position position) const {
    auto out = std::make_unique<Statement>();
    out->kind = kind;
    out->position = position;
    return out;
  }

  // The body of a block up to {% end... %}, past it.
  void block_body(std::string_view end, Body& out, std::string_view block) {
    body_until({end}, out, block);
    ++at_;
    expect_block_end();
  }

  std::unique_ptr<Statement> statement(std::initializer_list<std::string_view> words, std::string_view block) {
    const Position position = now().position;
    if (now().kind != TokenKind::kName) unexpected("a tag name");
    const std::string tag = expect_name();
    auto out = make_statement(StatementKind::kScope, position);
    if (tag == "if") {
      if_statement(*out);
    } else if (tag == "for") {
      for_statement(*out);
    } else if (tag == "set") {
      set_statement(*out);
    } else if (tag == "macro") {
      out->kind = StatementKind::kMacro;
      out->macro.name = expect_name();
      out->name = template_.intern(out->macro.name);
      signature(out->macro);
      expect_block_end();
      macro_body(out->macro, "endmacro", "macro");
    } else if (tag == "call") {
      out->kind = StatementKind::kCall;
      out->macro.name = "caller";
      if (is_op("(")) signature(out->macro);
      out->value = expression();
      if (out->value->kind != ExpressionKind::kCall) fail_here("expected call");
      expect_block_end();
      macro_body(out->macro, "endcall", "call");
    } else if (tag == "filter") {
      out->kind = StatementKind::kFilter;
      out->value = filter(nullptr, true);
      expect_block_end();
      block_body("endfilter", out->body, tag);
    } else if (tag == "with") {
      out->kind = StatementKind::kWith;
      while (now().kind != TokenKind::kBlockEnd) {
        if (!out->assignments.empty()) expect_op(",");
        auto target = assign_target(false, false);
        expect_op("=");
        out->assignments.emplace_back(std::move(target), expression());
      }
      expect_block_end();
      block_body("endwith", out->body, tag);
    } else if (tag == "generation") {
      expect_block_end();
      block_body("endgeneration", out->body, tag);
    } else if (tag == "break" || tag == "continue") {
      if (loops_ == 0) fail_at(position, fmt::format("'{}' outside of a loop", tag));
      out->kind = tag == "break" ? StatementKind::kBreak : StatementKind::kContinue;
      expect_block_end();
    } else if (words.size() > 0) {
      fail_at(position,
              fmt::format(
                  "Encountered unknown tag '{}'. Jinja was looking for the following tags: '{}'. The innermost block "
                  "that needs to be closed is '{}'.",
                  tag, fmt::join(words, "' or '"), block));
    } else {
      fail_at(position, fmt::format("Encountered unknown tag '{}'.", tag));
    }
    return out;
  }

  void if_statement(Statement& out) {
    out.kind = StatementKind::kIf;
    out.value = tuple(false, false, {});
    expect_block_end();
    body_until({"elif", "else", "endif"}, out.body, "if");
    // A chain of elif is flat here: each is the only statement of the otherwise before it.
    Statement* last = &out;
    int chain = 0;
    while (is_name("elif")) {
      if (++chain > 4 * kMaxNesting) fail_here("too many elif");
      const Position position = now().position;
      ++at_;
      auto next = make_statement(StatementKind::kIf, position);
      next->value = tuple(false, false, {});
      expect_block_end();
      body_until({"elif", "else", "endif"}, next->body, "if");
      Statement* made = next.get();
      last->otherwise.push_back(std::move(next));
      last = made;
    }
    if (skip_name("else")) {
      expect_block_end();
      body_until({"endif"}, last->otherwise, "if");
    }
    ++at_;
    expect_block_end();
  }

  void for_statement(Statement& out) {
    out.kind = StatementKind::kFor;
    out.target = assign_target(true, false);
    if (!skip_name("in")) unexpected("'in'");
    out.value = tuple(false, false, {"recursive"});
    if (skip_name("if")) out.condition = expression();
    out.recursive = skip_name("recursive");
    expect_block_end();
    ++loops_;
    body_until({"endfor", "else"}, out.body, "for");
    --loops_;
    if (skip_name("else")) {
      expect_block_end();
      body_until({"endfor"}, out.otherwise, "for");
    }
    ++at_;
    expect_block_end();
  }

  void set_statement(Statement& out) {
    out.target = assign_target(true, true);
    if (skip_op("=")) {
      out.kind = StatementKind::kSet;
      out.value = tuple(true, false, {});
      expect_block_end();
      return;
    }
    out.kind = StatementKind::kSetBlock;
    if (is_op("|")) out.value = filter(nullptr, false);
    expect_block_end();
    block_body("endset", out.body, "set");
  }

  // A name, namespace.name, or a tuple of names.
  ExpressionPtr assign_target(bool with_tuple, bool with_namespace) {
    const Position position = now().position;
    if (with_namespace && now().kind == TokenKind::kName && ahead().kind == TokenKind::kOperator &&
        ahead().text == ".") {
      auto out = name_expression(expect_name(), position);
      out->kind = ExpressionKind::kNamespaceTarget;
      ++at_;
      out->operators.push_back(out->text);
      out->text = expect_name();
      return out;
    }
    if (!with_tuple) return target_name();
    auto out = make(ExpressionKind::kTuple, position);
    bool comma = false;
    for (;;) {
      if (!out->children.empty()) {
        if (!skip_op(",")) break;
        comma = true;
      }
      if (at_tuple_end({"in"}) || is_op("=")) break;
      out->children.push_back(target_part());
      if (!is_op(",")) break;
    }
    if (out->children.empty()) unexpected("a name");
    if (!comma) return std::move(out->children[0]);
    return out;
  }

  ExpressionPtr target_part() {
    Nest nest(*this);
    const bool bracket = is_op("[");
    if (!bracket && !is_op("(")) return target_name();
    ++at_;
    auto out = make(ExpressionKind::kTuple, now().position);
    while (!is_op(bracket ? "]" : ")")) {
      if (!out->children.empty()) expect_op(",");
      if (is_op(bracket ? "]" : ")")) break;
      out->children.push_back(target_part());
    }
    ++at_;
    if (out->children.empty()) unexpected("a name");
    return out;
  }

  ExpressionPtr target_name() {
    const Position position = now().position;
    const std::string name = expect_name();
    for (const char* reserved : {"true", "false", "none", "True", "False", "None"}) {
      if (name == reserved) fail_here(fmt::format("can't assign to '{}'", name));
    }
    auto out = make(ExpressionKind::kName, position);
    out->text = name;
    out->name = template_.intern(name);
    return out;
  }

  void signature(MacroDefinition& macro) {
    expect_op("(");
    while (!is_op(")")) {
      if (!macro.parameters.empty()) expect_op(",");
      Parameter parameter;
      parameter.text = expect_name();
      parameter.name = template_.intern(parameter.text);
      if (skip_op("=")) {
        parameter.fallback = expression();
      } else if (!macro.parameters.empty() && macro.parameters.back().fallback) {
        fail_here("non-default argument follows default argument");
      }
      macro.parameters.push_back(std::move(parameter));
    }
    expect_op(")");
  }

  void macro_body(MacroDefinition& macro, std::string_view end, std::string_view block) {
    macros_.push_back(&macro);
    const int loops = std::exchange(loops_, 0);
    block_body(end, macro.body, block);
    loops_ = loops;
    macros_.pop_back();
  }

  std::vector<Token> tokens_;
  Template& template_;
  size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;
  std::vector<MacroDefinition*> macros_;  // whose body is being read
};

}  // namespace

std::unique_ptr<Template> parse_template(std::string_view source) {
  auto out = std::make_unique<Template>();
  out->body = Parser(tokenize(source), *out).run();
  return out;
}

}  // namespace switchyard::text::jinja
