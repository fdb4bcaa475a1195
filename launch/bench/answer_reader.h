// One HTTP/1.1 answer of a model server, byte by byte as it arrives: streamed (server-sent events) or whole.
//
// Why not Beast: a load tool that reads 200000 events a second on part of a core cannot afford a copy and a DOM for
// each; here an event that lies within one read is looked at where it is.
//
// Thread: one. Bounded: a head of at most 64 KiB, an event or a whole body of at most 16 MiB; else the answer is
// broken. Formats: RFC 9112 (chunks), OpenAI's completion and chat chunks, whole answers and error bodies.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace switchyard::launch {

// What a chunk or an answer says that a benchmark wants to know.
struct AnswerFacts {
  bool has_choice = false;
  bool has_text = false;   // some text, content or reasoning that is not empty
  bool has_role = false;   // a chat stream's opening
  bool finished = false;   // a finish_reason that is not null
  std::string text = {};   // only when it is asked for
  std::string error = {};  // the error's message; "" = none
  std::optional<uint64_t> prompt_tokens = {};
  std::optional<uint64_t> completion_tokens = {};

  // As vLLM counts: every step's chunk, also one whose text is still held back; not a chat's opening, nor the chunk
  // that only says why it ended.
  bool is_output() const { return has_choice && (has_text || (!has_role && !finished)); }
};

// nullopt: not a JSON object.
std::optional<AnswerFacts> read_facts(std::string_view json, bool with_text);

class AnswerReader {
 public:
  enum class State { kReading, kDone, kBroken };

  // data: an event's data ("[DONE]" included), or a whole answer's body.
  using OnData = std::function<void(std::string_view data)>;

  // Begins the next answer.
  void reset();
  // Takes what was read; on_data is called for what is complete. Bytes behind the answer's end make it kBroken: there
  // is one request at a time on a connection.
  State feed(std::string_view bytes, const OnData& on_data);
  // The other end closed the connection.
  State feed_end(const OnData& on_data);

  int status() const { return status_; }
  bool keep_alive() const { return keep_alive_; }

 private:
  enum class Part { kHead, kLength, kUntilClose, kChunkSize, kChunkData, kChunkEnd, kTrailer, kDone, kBroken };

  bool read_head();
  size_t take(std::string_view bytes, const OnData& on_data);
  void body(std::string_view bytes, const OnData& on_data);
  size_t events(std::string_view bytes, const OnData& on_data);
  void finish(const OnData& on_data);

  Part part_ = Part::kHead;
  int status_ = 0;
  bool keep_alive_ = true;
  bool is_events_ = false;
  bool has_digit_ = false;   // of a chunk's size
  bool line_begun_ = false;  // of the trailer
  uint64_t left_ = 0;        // of the body, or of the chunk
  std::string pending_;      // head, an event's beginning, or a whole body
};

}  // namespace switchyard::launch
