// Under mpirun -n N: every rank computes its own prompt with its group, experts spread over real MPI ranks, and again
// by itself; the logits must be the same bits. One rank has no rows in one of the rounds and still serves the others.
// Exits non-zero, and ends the job, at the first difference.
#include <cstdio>
#include <cstring>
#include <random>

#include "tests/support/rank_model.h"
#include "worker/exchange/mpi_transport.h"

namespace switchyard::testing {
namespace {

const char* const kModels[] = {"deepseek-v3-tiny", "qwen3-moe-tiny", "gpt-oss-mxfp4-tiny", "mixtral-tiny",
                               "llama3-tiny"};
constexpr uint32_t kDeadlineMs = 60000;

std::vector<float> logits_of(RankModel& rank, const std::vector<int32_t>& ids) {
  const auto count = static_cast<uint32_t>(ids.size());
  worker::KvCache kv(rank.groups, 16);
  worker::KvTables tables = kv.make_tables();
  SWITCHYARD_CHECK(kv.grow(tables, 0, count));
  worker::StepBatch batch;
  batch.ids = ids;
  for (uint32_t i = 0; i < count; ++i) batch.positions.push_back(i);
  for (const auto& table : tables.tables) {
    batch.sequences.emplace_back();
    if (count != 0) batch.sequences.back().push_back({0, count, 0, table.data()});
  }
  const Status done = rank.model->forward(batch);
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  SWITCHYARD_CHECK(done.ok());
  std::vector<uint32_t> rows(count);
  for (uint32_t i = 0; i < count; ++i) rows[i] = i;
  const float* logits = rank.model->logits(rows);
  return {logits, logits + size_t{count} * rank.checkpoint.spec().vocab_size};
}

int run() {
  const worker::MpiWorld world = worker::mpi_init();
  int compared = 0;
  for (const char* model : kModels) {
    for (const auto form : {kernels::WeightForm::kFloat32, kernels::WeightForm::kBfloat16, kernels::WeightForm::kInt8,
                            kernels::WeightForm::kInt4}) {
      auto checkpoint = checkpoint::Checkpoint::open(std::string(SWITCHYARD_TEST_DATA "/golden/") + model);
      SWITCHYARD_CHECK(checkpoint.ok());
      GroupOptions options;
      options.form = form;
      options.messages = form == kernels::WeightForm::kBfloat16 || form == kernels::WeightForm::kInt4;
      options.max_num_seqs = 1;
      const auto& spec = checkpoint->spec();
      RankModel group(*checkpoint, options, make_placement(spec, world.size, 5),
                      worker::make_mpi_transport(kDeadlineMs));
      RankModel alone(*checkpoint, options, make_placement(spec, 1, 0), worker::make_single_transport());
      for (uint32_t round = 0; round < 3; ++round) {
        std::mt19937 random(100 * world.rank + round);
        std::vector<int32_t> ids(round == 1 && world.rank == 0 ? 0 : 1 + random() % 100);
        for (auto& id : ids) id = static_cast<int32_t>(random() % spec.vocab_size);
        const auto got = logits_of(group, ids);
        const auto want = logits_of(alone, ids);
        if (got.size() != want.size() || std::memcmp(got.data(), want.data(), got.size() * sizeof(float)) != 0) {
          std::fprintf(stderr, "%s: rank %u of %u, round %u: other bits than alone\n", model, world.rank, world.size,
                       round);
          worker::mpi_abort(1);
        }
        ++compared;
      }
    }
  }
  if (world.rank == 0) std::printf("%d comparisons on each of %u ranks\n", compared, world.size);
  worker::mpi_finalize();
  return 0;
}

}  // namespace
}  // namespace switchyard::testing

int main() { return switchyard::testing::run(); }
