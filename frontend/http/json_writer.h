// Writes JSON text piece by piece into a string: what answers and stream chunks are made of.
//
// Why not boost::json: log-probabilities must come back as the same float32, and its shortest decimal form is half as
// long as that of the widened double. Requests are still parsed by boost::json.
//
// Thread: one. Never blocks. The caller keeps the nesting right; commas are the writer's affair.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace switchyard::frontend {

// Appends text as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so that the result is always
// valid JSON.
void append_json_string(std::string& out, std::string_view text);

// The shortest decimal number that reads back to the same float32. JSON has no infinities: those and NaN become +-9999
// as in vLLM.
void append_json_float(std::string& out, float value);

class JsonWriter {
 public:
  JsonWriter() = default;
  // Goes on behind a text whose last value or key is complete.
  explicit JsonWriter(std::string_view begun) : comma_(true) {
    out_.reserve(begun.size() + kRoom);
    out_ = begun;
  }

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);  // then exactly one value

  JsonWriter& string(std::string_view value);
  JsonWriter& integer(int64_t value);
  JsonWriter& number(double value);
  JsonWriter& float32(float value);
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  JsonWriter& raw(std::string_view json);  // a value that is JSON already

  // key() and value in one.
  JsonWriter& string(std::string_view name, std::string_view value) { return key(name).string(value); }
  JsonWriter& integer(std::string_view name, int64_t value) { return key(name).integer(value); }
  JsonWriter& number(std::string_view name, double value) { return key(name).number(value); }
  JsonWriter& boolean(std::string_view name, bool value) { return key(name).boolean(value); }
  JsonWriter& null(std::string_view name) { return key(name).null(); }

  const std::string& text() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  static constexpr size_t kRoom = 192;  // for the rest of a stream's chunk, in nearly all cases

  void separate();

  std::string out_;
  bool comma_ = false;  // the next value or key stands behind another one
};

}  // namespace switchyard::frontend
