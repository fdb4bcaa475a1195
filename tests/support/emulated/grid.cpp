#include "kernels/cuda/grid.cuh"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/support/change_stack.h"

thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace switchyard::grid {
namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr uint32_t kWarp = 32;

// Where some fibers meet: each waits until as many have come as take part.
struct Barrier {
  uint32_t members = 0;
  uint32_t arrived = 0;
  uint64_t rounds = 0;
};

struct Fiber {
  void* stack = nullptr;  // saved pointer
  bool done = false;
  const Barrier* waits_for = nullptr;
  uint64_t round = 0;
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<char*> stacks;  // kept between launches
  void* outside = nullptr;    // run_block's stack
  uint32_t running = 0;
  uint32_t left = 0;  // not done
  const std::function<void()>* kernel = nullptr;
  Barrier all;
  std::vector<Barrier> warps;
  std::vector<uint64_t> lanes[2];  // of even and odd rounds: a lane may give again before another has read
  std::vector<char> shared;

  ~Block() {
    for (char* stack : stacks) munmap(stack, kStackBytes);
  }

  bool can_run(const Fiber& fiber) const {
    return !fiber.done && (fiber.waits_for == nullptr || fiber.waits_for->rounds != fiber.round);
  }

  // Hands the processor to the next fiber that can run, or, when all are done, to run_block.
  void yield() {
    Fiber& mine = fibers[running];
    const auto count = static_cast<uint32_t>(fibers.size());
    for (uint32_t step = 1; step <= count; ++step) {
      const uint32_t next = running + step < count ? running + step : running + step - count;
      if (!can_run(fibers[next])) continue;
      if (next == running) return;
      running = next;
      threadIdx = dim3(next);
      switchyard_change_stack(&mine.stack, fibers[next].stack);
      return;
    }
    if (left != 0) {
      std::fprintf(stderr, "grid emulation: threads of block (%u, %u, %u) wait for ones that never come\n", blockIdx.x,
                   blockIdx.y, blockIdx.z);
      std::abort();
    }
    switchyard_change_stack(&mine.stack, outside);
  }

  uint64_t meet(Barrier& barrier) {
    const uint64_t round = barrier.rounds;
    if (++barrier.arrived == barrier.members) {
      barrier.arrived = 0;
      ++barrier.rounds;
    } else {
      fibers[running].waits_for = &barrier;
      fibers[running].round = round;
      yield();
      fibers[running].waits_for = nullptr;
    }
    return round;
  }
};

thread_local Block block;

void leave(Barrier& barrier) {
  if (--barrier.members != 0 && barrier.arrived == barrier.members) {
    barrier.arrived = 0;
    ++barrier.rounds;
  }
}

[[noreturn]] void fiber_main() {
  (*block.kernel)();
  block.fibers[block.running].done = true;
  --block.left;
  leave(block.all);
  leave(block.warps[block.running / kWarp]);
  block.yield();
  std::abort();
}

void start_fiber(uint32_t index) {
  while (block.stacks.size() <= index) {
    void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) std::abort();
    block.stacks.push_back(static_cast<char*>(stack));
  }
  block.fibers[index] = {testing::new_stack(block.stacks[index], kStackBytes, &fiber_main), false, nullptr, 0};
}

void run_block(uint32_t threads) {
  const uint32_t warps = (threads + kWarp - 1) / kWarp;
  block.all = {threads, 0, 0};
  block.warps.assign(warps, {});
  for (uint32_t w = 0; w < warps; ++w) block.warps[w].members = std::min(kWarp, threads - w * kWarp);
  block.fibers.resize(threads);
  for (auto& lanes : block.lanes) lanes.assign(threads, 0);
  for (uint32_t i = 0; i < threads; ++i) start_fiber(i);
  block.left = threads;
  block.running = 0;
  threadIdx = dim3(0);
  switchyard_change_stack(&block.outside, block.fibers[0].stack);
}

}  // namespace

void block_barrier() { block.meet(block.all); }

uint64_t exchange_lanes(uint64_t mine, uint32_t lane) {
  const uint32_t first = block.running / kWarp * kWarp;
  Barrier& warp = block.warps[block.running / kWarp];
  auto& lanes = block.lanes[warp.rounds % 2];
  lanes[block.running] = mine;
  block.meet(warp);
  return lanes[first + lane];
}

void* dynamic_shared() { return block.shared.data(); }

void run(dim3 blocks, uint32_t threads, size_t shared_bytes, const std::function<void()>& kernel) {
  if (threads == 0 || threads > 1024 || shared_bytes > size_t{227} << 10 || blocks.y > 65535 || blocks.z > 65535) {
    std::fprintf(stderr, "grid emulation: %u x %u x %u blocks of %u threads and %zu shared bytes cannot be launched\n",
                 blocks.x, blocks.y, blocks.z, threads, shared_bytes);
    std::abort();
  }
  block.kernel = &kernel;
  block.shared.assign(shared_bytes + 16, static_cast<char>(0xff));
  gridDim = blocks;
  blockDim = dim3(threads);
  for (uint32_t z = 0; z < blocks.z; ++z) {
    for (uint32_t y = 0; y < blocks.y; ++y) {
      for (uint32_t x = 0; x < blocks.x; ++x) {
        blockIdx = dim3(x, y, z);
        run_block(threads);
      }
    }
  }
}

}  // namespace switchyard::grid
