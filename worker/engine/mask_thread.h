// Computes the masks of a step's constrained sequences while the model computes their logits: both depend on the tokens
// before alone.
//
// Threads: the engine thread calls; a thread of its own computes, which starts with the first round that has something
// to do and sleeps between rounds.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "worker/sampling/constrained_text.h"

namespace switchyard::worker {

class MaskThread {
 public:
  MaskThread() = default;
  ~MaskThread();
  MaskThread(const MaskThread&) = delete;
  MaskThread& operator=(const MaskThread&) = delete;

  // From its construction on the texts are prepared; its end waits until they are. One at a time.
  class Round {
   public:
    Round(MaskThread& owner, std::vector<ConstrainedText*> texts);
    ~Round();
    Round(const Round&) = delete;
    Round& operator=(const Round&) = delete;

   private:
    MaskThread* owner_;  // null: nothing to do
  };

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<ConstrainedText*> texts_;
  bool busy_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace switchyard::worker
