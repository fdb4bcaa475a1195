// Answers of /v1/responses that clients may come back to: by GET, or to go on from (previous_response_id).
//
// In the memory of one frontend: another one does not know them, and the oldest go when the room is used up.
//
// Thread: any; short critical sections. Bounded by bytes.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace switchyard::frontend {

struct StoredResponse {
  std::string id;
  size_t key = 0;            // whose it is: nobody else's key finds it
  std::string body;          // the answer, JSON
  std::string conversation;  // messages of a chat, up to this answer; JSON
};

class ResponseStore {
 public:
  explicit ResponseStore(size_t bytes_max) : bytes_max_(bytes_max) {}

  // One that is larger than the room is not kept.
  void put(StoredResponse response);
  // Null when there is none.
  std::shared_ptr<const StoredResponse> find(const std::string& id, size_t key);
  bool erase(const std::string& id, size_t key);

 private:
  using List = std::list<std::shared_ptr<const StoredResponse>>;
  void remove(List::iterator at);

  const size_t bytes_max_;
  std::mutex mutex_;  // guards what follows
  List list_;         // the one that was asked for last comes first
  std::unordered_map<std::string, List::iterator> by_id_;
  size_t bytes_ = 0;
};

}  // namespace switchyard::frontend
