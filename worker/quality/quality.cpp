#include "worker/quality/quality.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <utility>

#include "common/base/machine.h"
#include "common/checkpoint/checkpoint.h"
#include "worker/model/model.h"
#include "worker/scheduler/kv_cache.h"

namespace switchyard::worker {
namespace {

using kernels::WeightForm;

constexpr uint32_t kSequenceTokens = 512;  // longer ones are cut: no cache larger than that is needed
constexpr uint32_t kBlockTokens = 16;
constexpr uint32_t kLogitRows = 64;
constexpr uint32_t kRandomSequence = 256;

Result<WeightForm> form_named(const std::string& name, const char* option) {
  const auto* found = std::find(std::begin(kernels::kWeightFormNames), std::end(kernels::kWeightFormNames), name);
  if (found == std::end(kernels::kWeightFormNames)) {
    return Error{Errc::kInvalid, fmt::format("{}: there is no form '{}', only {}", option, name,
                                             fmt::join(kernels::kWeightFormNames, ", "))};
  }
  return static_cast<WeightForm>(found - std::begin(kernels::kWeightFormNames));
}

// The whole model on one rank, for one sequence at a time.
class LocalModel {
 public:
  static Result<std::unique_ptr<LocalModel>> load(const checkpoint::Checkpoint& checkpoint, WeightForm form,
                                                  kernels::KvType kv_type, const kernels::OpTable& ops,
                                                  kernels::ThreadPool& pool) {
    auto model = std::make_unique<LocalModel>();
    const checkpoint::ModelSpec& spec = checkpoint.spec();
    std::vector<LayerPlacement> placement;
    const std::vector<uint32_t> all_here(spec.expert_count, 0);
    for (const auto& layer : spec.layers) {
      if (layer.experts) placement.push_back(LayerPlacement::from_ranks(all_here, 1));
    }
    SWITCHYARD_ASSIGN(model->exchange_,
                      make_exchange(make_single_transport(),
                                    exchange_shape(spec, WeightForms::of(form), ops, kSequenceTokens), pool, 0));
    SWITCHYARD_ASSIGN(model->weights_,
                      ModelWeights::load(checkpoint, WeightForms::of(form), placement, 0, ops, pool, nullptr));
    const KvGrouping grouping = KvGrouping::of(spec);
    std::vector<uint32_t> counts;
    for (const uint32_t window : grouping.windows) {
      model->groups_.push_back({window, kSequenceTokens / kBlockTokens + 1});
      counts.push_back(model->groups_.back().block_count);
    }
    SWITCHYARD_ASSIGN(model->kv_,
                      KvMemory::allocate(spec, kv_layout(spec, kv_type, kBlockTokens), grouping, counts, ops));
    model->model_ = std::make_unique<Model>(spec, *model->weights_, placement, ops, pool, *model->exchange_, model->kv_,
                                            grouping, kSequenceTokens);
    return model;
  }

  Status forward(std::span<const int32_t> ids) {
    KvCache cache(groups_, kBlockTokens);
    KvTables tables = cache.make_tables();
    const auto count = static_cast<uint32_t>(ids.size());
    SWITCHYARD_CHECK(cache.grow(tables, 0, count));
    StepBatch batch;
    batch.ids.assign(ids.begin(), ids.end());
    for (uint32_t i = 0; i < count; ++i) batch.positions.push_back(i);
    for (const auto& table : tables.tables) batch.sequences.push_back({{0, count, 0, table.data()}});
    return model_->forward(batch);
  }

  const float* logits(std::span<const uint32_t> rows) { return model_->logits(rows); }
  uint64_t weight_bytes() const { return weights_->bytes; }

 private:
  std::unique_ptr<ModelWeights> weights_;
  std::unique_ptr<Exchange> exchange_;
  std::vector<KvGroup> groups_;
  KvMemory kv_;
  std::unique_ptr<Model> model_;
};

using Sequences = std::vector<std::vector<int32_t>>;

// Sequences of a file's lines, cut to kSequenceTokens, `max_tokens` in all.
Result<Sequences> read_tokens(const std::string& path, uint32_t vocabulary, uint64_t max_tokens) {
  std::ifstream file(path);
  if (!file) return Error{Errc::kInvalid, fmt::format("--tokens: cannot read {}", path)};
  Sequences sequences;
  uint64_t total = 0;
  std::string line;
  for (size_t number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto wrong = [&](const char* what) {
      return Error{Errc::kInvalid, fmt::format("{}:{}: {}", path, number, what)};
    };
    boost::system::error_code error;
    const boost::json::value value = boost::json::parse(line, error);
    if (error || !value.is_object()) return wrong("an object is expected");
    const boost::json::value* ids = value.as_object().if_contains("ids");
    if (ids == nullptr || !ids->is_array()) return wrong("ids: a list is expected");
    std::vector<int32_t> sequence;
    for (const boost::json::value& id : ids->as_array()) {
      const int64_t* value_of = id.if_int64();
      if (value_of == nullptr || *value_of < 0 || *value_of >= int64_t{vocabulary}) {
        return wrong("ids: token ids of the model's vocabulary are expected");
      }
      if (total == max_tokens) break;
      ++total;
      sequence.push_back(static_cast<int32_t>(*value_of));
      if (sequence.size() == kSequenceTokens) sequences.push_back(std::exchange(sequence, {}));
    }
    if (!sequence.empty()) sequences.push_back(std::move(sequence));
    if (total == max_tokens) return sequences;
  }
  if (sequences.empty()) return Error{Errc::kInvalid, fmt::format("{}: no tokens", path)};
  return sequences;
}

Sequences random_tokens(uint32_t vocabulary, uint64_t max_tokens) {
  std::mt19937 random(1);
  Sequences sequences;
  for (uint64_t left = max_tokens; left > 0;) {
    const uint64_t count = std::min<uint64_t>(left, kRandomSequence);
    auto& sequence = sequences.emplace_back(count);
    for (auto& id : sequence) id = static_cast<int32_t>(random() % vocabulary);
    left -= count;
  }
  return sequences;
}

struct Difference {
  double kl = 0.0;
  bool same_top = false;
};

// Of the distributions softmax(p) and softmax(q).
Difference compare(std::span<const float> p, std::span<const float> q) {
  const auto best_p = static_cast<size_t>(std::max_element(p.begin(), p.end()) - p.begin());
  const auto best_q = static_cast<size_t>(std::max_element(q.begin(), q.end()) - q.begin());
  double sum_p = 0.0;
  double sum_q = 0.0;
  double weighted = 0.0;  // sum of e^(p - max p) ((p - max p) - (q - max q))
  for (size_t i = 0; i < p.size(); ++i) {
    const double log_p = double{p[i]} - double{p[best_p]};
    const double log_q = double{q[i]} - double{q[best_q]};
    const double e = std::exp(log_p);
    sum_p += e;
    sum_q += std::exp(log_q);
    weighted += e * (log_p - log_q);
  }
  return {std::max(0.0, weighted / sum_p - std::log(sum_p) + std::log(sum_q)), best_p == best_q};
}

}  // namespace

Result<QualityReport> measure_quality(const QualityOptions& options) {
  SWITCHYARD_ASSIGN(const WeightForm reference_form, form_named(options.reference, "--reference"));
  std::vector<WeightForm> forms;
  for (const std::string& name : options.forms) {
    SWITCHYARD_ASSIGN(const WeightForm form, form_named(name, "--quantization"));
    forms.push_back(form);
  }
  const kernels::OpTable* ops = kernels::find_backend(options.backend.c_str());
  if (ops == nullptr)
    return Error{Errc::kInvalid, fmt::format("--backend: this machine has no op table '{}'", options.backend)};
  SWITCHYARD_ASSIGN(const checkpoint::Checkpoint checkpoint, checkpoint::Checkpoint::open(options.model));
  const uint32_t vocabulary = checkpoint.spec().vocab_size;
  Sequences sequences;
  if (options.tokens.empty()) {
    sequences = random_tokens(vocabulary, options.max_tokens);
  } else {
    SWITCHYARD_ASSIGN(sequences, read_tokens(options.tokens, vocabulary, options.max_tokens));
  }

  kernels::ThreadPool pool(options.threads != 0 ? options.threads : static_cast<uint32_t>(machine_cores().size()));
  const auto kv_type = [](const std::string& dtype, WeightForm form) {
    return kv_type_of(dtype, form == WeightForm::kFloat32);
  };
  if (!kv_type(options.kv_cache_dtype, reference_form))
    return Error{Errc::kInvalid, fmt::format("--kv-cache-dtype: there is no type '{}'", options.kv_cache_dtype)};
  SWITCHYARD_ASSIGN(const auto reference,
                    LocalModel::load(checkpoint, reference_form, *kv_type("auto", reference_form), *ops, pool));
  QualityReport report;
  report.file_bytes = checkpoint.disk_bytes();
  report.reference_bytes = reference->weight_bytes();
  report.sequences = sequences.size();
  for (const auto& sequence : sequences) report.tokens += sequence.size();

  for (const WeightForm form : forms) {
    SWITCHYARD_ASSIGN(const auto model,
                      LocalModel::load(checkpoint, form, *kv_type(options.kv_cache_dtype, form), *ops, pool));
    FormQuality quality{kernels::kWeightFormNames[static_cast<size_t>(form)], model->weight_bytes(), 0.0, 0.0};
    for (const auto& sequence : sequences) {
      SWITCHYARD_TRY(reference->forward(sequence));
      SWITCHYARD_TRY(model->forward(sequence));
      for (uint32_t begin = 0; begin < sequence.size(); begin += kLogitRows) {
        std::vector<uint32_t> rows;
        for (uint32_t r = begin; r < std::min<size_t>(begin + kLogitRows, sequence.size()); ++r) rows.push_back(r);
        const float* p = reference->logits(rows);
        const float* q = model->logits(rows);
        std::vector<Difference> differences(rows.size());
        pool.parallel_for(rows.size(), 1, [&](size_t from, size_t to) {
          for (size_t i = from; i < to; ++i) {
            differences[i] = compare({p + i * vocabulary, vocabulary}, {q + i * vocabulary, vocabulary});
          }
        });
        for (const Difference& difference : differences) {
          quality.mean_kl += difference.kl;
          quality.top1_agreement += difference.same_top ? 1.0 : 0.0;
        }
      }
    }
    quality.mean_kl /= static_cast<double>(report.tokens);
    quality.top1_agreement /= static_cast<double>(report.tokens);
    report.forms.push_back(quality);
  }
  return report;
}

std::string quality_text(const QualityOptions& options, const QualityReport& report) {
  const auto mib = [](uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  const auto share = [&](uint64_t bytes) {
    return 100.0 * static_cast<double>(bytes) / static_cast<double>(report.file_bytes);
  };
  std::string text = fmt::format("{}: {} tokens in {} sequences, tensors on disk {:.1f} MiB\n", options.model,
                                 report.tokens, report.sequences, mib(report.file_bytes));
  text +=
      fmt::format("{:<10} {:>12} {:>12} {:>12} {:>16}\n", "weights", "MiB", "% of files", "mean KL", "top-1 agreement");
  text += fmt::format("{:<10} {:>12.1f} {:>12.1f} {:>12} {:>16}\n", options.reference, mib(report.reference_bytes),
                      share(report.reference_bytes), "reference", "");
  for (const FormQuality& form : report.forms) {
    text += fmt::format("{:<10} {:>12.1f} {:>12.1f} {:>12.2e} {:>15.2f}%\n", form.form, mib(form.weight_bytes),
                        share(form.weight_bytes), form.mean_kl, 100.0 * form.top1_agreement);
  }
  return text;
}

}  // namespace switchyard::worker
