#include "coordinator/views.h"

#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <functional>
#include <sstream>

#include "common/net/net.h"

namespace switchyard::coordinator {
namespace {

namespace json = boost::json;
using prometheus::MetricFamily;
using prometheus::MetricType;

double seconds(std::chrono::steady_clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// Of all groups, by rank id.
template <typename Visit>
void for_known_ranks(const View& view, Visit visit) {
  for (const auto& group : view.membership.groups()) {
    for (const auto& rank : group.ranks()) {
      if (rank.known) visit(rank, group);
    }
  }
}

double times_usual(const Rank& rank, const RankGroup& group, const View& view) {
  return view.slow[group.group()].times_usual(rank.rank_id % static_cast<uint32_t>(group.ranks().size()));
}

json::object rank_json(const Rank& rank, const RankGroup& group, const View& view) {
  const auto& registration = rank.registration;
  const auto& report = rank.report;
  json::object out;
  out["rank_id"] = rank.rank_id;
  out["group"] = group.group();
  out["pid"] = registration.pid();
  out["host"] = registration.host();
  out["port"] = registration.port();
  out["state"] = state_name(rank.state);
  out["device"] = registration.device();
  out["backend"] = registration.backend();
  out["sequences"] = report.sequences_running();
  out["waiting"] = report.sequences_waiting();
  out["kv_usage"] = kv_usage(report);
  out["kv_blocks_total"] = report.kv_blocks_total();
  out["kv_blocks_used"] = report.kv_blocks_used();
  out["kv_bytes"] = report.kv_bytes();
  out["weight_bytes"] = report.weight_bytes();
  out["weight_bytes_loaded"] = report.weight_bytes_loaded();
  out["weight_bytes_to_load"] = report.weight_bytes_to_load();
  out["resident_bytes"] = report.resident_bytes();
  out["prompt_tokens"] = report.prompt_tokens();
  out["generation_tokens"] = report.generation_tokens();
  out["steps"] = report.steps();
  out["step_seconds"] = report.step_seconds_mean();
  out["times_usual"] = times_usual(rank, group, view);
  out["slow"] = view.slow[group.group()].slow(rank.rank_id % static_cast<uint32_t>(group.ranks().size()));
  out["preemptions"] = report.preemptions();
  out["prefix_queries"] = report.prefix_queries();
  out["prefix_hits"] = report.prefix_hits();
  out["exchange_bytes"] = report.exchange_bytes();
  out["epoch"] = report.epoch();
  const auto& processes = view.membership.launcher().processes();
  out["given_up"] = std::any_of(processes.begin(), processes.end(), [&](const wire::ProcessState& process) {
    return process.given_up() && rank.rank_id >= process.first_rank() &&
           rank.rank_id < process.first_rank() + process.rank_count();
  });
  out["heard_seconds_ago"] =
      rank.heard_at == Time{} ? json::value(nullptr) : json::value(seconds(view.now - rank.heard_at));
  return out;
}

// Families in the order in which they are made; samples with their labels.
class Families {
 public:
  void begin(const std::string& name, const std::string& help, MetricType type) {
    MetricFamily family;
    family.name = "switchyard_" + name;
    family.help = help;
    family.type = type;
    families_.push_back(std::move(family));
  }
  void add(double value, std::initializer_list<std::pair<std::string, std::string>> labels = {}) {
    prometheus::ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_.back().metric.push_back(std::move(metric));
  }
  std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  std::vector<MetricFamily> families_;
};

struct RankMetric {
  const char* name;
  const char* help;
  MetricType type;
  std::function<double(const wire::RankReport&)> value;
};

const std::vector<RankMetric>& rank_metrics() {
  using R = wire::RankReport;
  static const std::vector<RankMetric> list = {
      {"num_requests_running", "Sequences being computed.", MetricType::Gauge,
       [](const R& r) { return double(r.sequences_running()); }},
      {"num_requests_waiting", "Sequences waiting for room.", MetricType::Gauge,
       [](const R& r) { return double(r.sequences_waiting()); }},
      {"kv_cache_usage_perc", "Used part of the KV cache, 0 to 1.", MetricType::Gauge, kv_usage},
      {"kv_cache_bytes", "Bytes of the KV cache.", MetricType::Gauge, [](const R& r) { return double(r.kv_bytes()); }},
      {"weight_bytes", "Bytes of weights held.", MetricType::Gauge,
       [](const R& r) { return double(r.weight_bytes()); }},
      {"resident_bytes", "Resident memory of the rank's process.", MetricType::Gauge,
       [](const R& r) { return double(r.resident_bytes()); }},
      {"prompt_tokens_total", "Prompt tokens computed.", MetricType::Counter,
       [](const R& r) { return double(r.prompt_tokens()); }},
      {"generation_tokens_total", "Tokens generated.", MetricType::Counter,
       [](const R& r) { return double(r.generation_tokens()); }},
      {"steps_total", "Steps of the engine.", MetricType::Counter, [](const R& r) { return double(r.steps()); }},
      {"num_preemptions_total", "Sequences preempted for lack of KV room.", MetricType::Counter,
       [](const R& r) { return double(r.preemptions()); }},
      {"prefix_cache_queries_total", "Tokens of admitted sequences.", MetricType::Counter,
       [](const R& r) { return double(r.prefix_queries()); }},
      {"prefix_cache_hits_total", "Tokens of admitted sequences that the KV cache held already.", MetricType::Counter,
       [](const R& r) { return double(r.prefix_hits()); }},
      {"step_seconds", "Mean time of a step since the report before.", MetricType::Gauge,
       [](const R& r) { return r.step_seconds_mean(); }},
      {"exchange_dispatch_seconds", "Time of dispatch, as the rank last reported it.", MetricType::Gauge,
       [](const R& r) { return r.exchange_dispatch_seconds(); }},
      {"exchange_combine_seconds", "Time of combine, as the rank last reported it.", MetricType::Gauge,
       [](const R& r) { return r.exchange_combine_seconds(); }},
      {"exchange_bytes_total", "Bytes sent to other ranks by dispatch and combine.", MetricType::Counter,
       [](const R& r) { return double(r.exchange_bytes()); }},
  };
  return list;
}

std::string html_escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace

std::string cluster_json(const View& view) {
  json::array ranks, frontends;
  for_known_ranks(view,
                  [&](const Rank& rank, const RankGroup& group) { ranks.push_back(rank_json(rank, group, view)); });
  for (const auto& [connection, frontend] : view.membership.frontends()) {
    json::object out;
    out["pid"] = frontend.registration.pid();
    out["host"] = frontend.registration.host();
    out["port"] = frontend.registration.port();
    out["requests"] = frontend.report.requests_running();
    out["connections"] = frontend.report.connections();
    frontends.push_back(std::move(out));
  }
  json::object coordinator;
  coordinator["pid"] = getpid();
  coordinator["host"] = net::host_name();
  coordinator["uptime_seconds"] = seconds(view.now - view.started);

  json::array processes;
  for (const auto& process : view.membership.launcher().processes()) {
    json::object out;
    out["name"] = process.name();
    out["state"] = process.given_up() ? "given_up" : process.running() ? "running" : "waiting";
    out["ends"] = process.ends();
    out["cause"] = process.cause();
    if (!process.running() && !process.given_up()) out["starts_again_in_ms"] = process.starts_again_in_ms();
    processes.push_back(std::move(out));
  }
  json::object launcher;
  launcher["pid"] = view.membership.launcher().pid();
  launcher["processes"] = std::move(processes);

  json::object out;
  out["name"] = view.cluster_name;
  out["model"] = view.model_name;
  out["architecture"] = view.architecture;
  out["epoch"] = view.membership.epoch();
  out["group_count"] = view.membership.groups().size();
  json::array not_serving;
  for (const auto& group : view.membership.groups())
    if (const auto why = group.why_not_serving(); !why.empty()) not_serving.emplace_back(why);
  out["not_serving"] = std::move(not_serving);
  out["rank_count"] = view.membership.groups().size() * view.membership.placement().rank_count;
  out["rank_deaths"] = view.membership.deaths();
  out["ranks"] = std::move(ranks);
  out["frontends"] = std::move(frontends);
  out["coordinator"] = std::move(coordinator);
  out["launcher"] = view.membership.launcher().pid() == 0 ? json::value(nullptr) : json::value(std::move(launcher));
  return json::serialize(out);
}

std::string placement_json(const View& view) {
  const auto& placement = view.membership.placement(0);
  std::vector<uint64_t> totals(placement.rank_count);
  json::array layers;
  for (uint32_t layer = 0; layer < placement.layer_count; ++layer) {
    json::array experts, per_rank;
    for (uint32_t expert = 0; expert < placement.expert_count; ++expert) {
      experts.push_back(placement.rank_of(layer, expert));
    }
    const auto counts = placement.counts(layer);
    for (uint32_t rank = 0; rank < placement.rank_count; ++rank) {
      per_rank.push_back(counts[rank]);
      totals[rank] += counts[rank];
    }
    json::object out;
    out["layer"] = layer;
    out["rank_of_expert"] = std::move(experts);
    out["experts_per_rank"] = std::move(per_rank);
    layers.push_back(std::move(out));
  }
  json::object out;
  out["epoch"] = view.membership.epoch();
  out["rank_count"] = placement.rank_count;
  out["layer_count"] = placement.layer_count;
  out["expert_count"] = placement.expert_count;
  out["experts_per_rank"] = json::array(totals.begin(), totals.end());
  out["layers"] = std::move(layers);
  return json::serialize(out);
}

std::string metrics_text(const View& view) {
  const auto& membership = view.membership;
  Families families;
  families.begin("epoch", "Number of changes of members or placement, of all groups.", MetricType::Gauge);
  families.add(double(membership.epoch()));
  families.begin("group_epoch", "Number of changes of the group's members or placement.", MetricType::Gauge);
  for (const auto& group : membership.groups())
    families.add(double(group.epoch()), {{"group", std::to_string(group.group())}});
  families.begin("rank_deaths_total", "Ranks found dead.", MetricType::Counter);
  families.add(double(membership.deaths()));
  families.begin("frontends", "Frontends connected.", MetricType::Gauge);
  families.add(double(membership.frontends().size()));

  families.begin("refused_connections_total", "Connections refused, by reason.", MetricType::Counter);
  for (size_t i = 0; i < view.refusals.size(); ++i)
    families.add(double(view.refusals[i]), {{"process", "coordinator"}, {"reason", net::kRefusalNames[i]}});
  for_known_ranks(view, [&](const Rank& rank, const RankGroup& group) {
    const auto& counts = rank.report.refused_connections();
    for (int i = 0; i < std::min<int>(counts.size(), net::kRefusalNames.size()); ++i) {
      families.add(double(counts[i]), {{"process", "rank"},
                                       {"group", std::to_string(group.group())},
                                       {"rank", std::to_string(rank.rank_id)},
                                       {"reason", net::kRefusalNames[static_cast<size_t>(i)]}});
    }
  });

  constexpr wire::RankState kStates[] = {wire::RANK_JOINING, wire::RANK_LIVE, wire::RANK_LEAVING, wire::RANK_DEAD};
  families.begin("ranks", "Ranks in each state.", MetricType::Gauge);
  for (const auto state : kStates) {
    int count = 0;
    for_known_ranks(view, [&](const Rank& rank, const RankGroup&) { count += rank.state == state ? 1 : 0; });
    families.add(count, {{"state", state_name(state)}});
  }
  families.begin("rank_state", "1 for the state that the rank is in.", MetricType::Gauge);
  for_known_ranks(view, [&](const Rank& rank, const RankGroup& group) {
    families.add(1, {{"group", std::to_string(group.group())},
                     {"rank", std::to_string(rank.rank_id)},
                     {"state", state_name(rank.state)}});
  });

  families.begin("expert_balancedness",
                 "Mean over ranks of the group ÷ most of one rank, of the layer's tokens of the last 5 to 10 s.",
                 MetricType::Gauge);
  for (size_t group = 0; group < view.loads.size(); ++group) {
    const auto balancedness = view.loads[group].balancedness();
    for (size_t layer = 0; layer < balancedness.size(); ++layer) {
      families.add(balancedness[layer], {{"group", std::to_string(group)}, {"layer", std::to_string(layer)}});
    }
  }
  families.begin("rank_times_usual", "Time that the rank computes a step, over what like steps took it before.",
                 MetricType::Gauge);
  for_known_ranks(view, [&](const Rank& rank, const RankGroup& group) {
    families.add(times_usual(rank, group, view),
                 {{"group", std::to_string(group.group())}, {"rank", std::to_string(rank.rank_id)}});
  });
  for (const auto& metric : rank_metrics()) {
    families.begin(metric.name, metric.help, metric.type);
    for_known_ranks(view, [&](const Rank& rank, const RankGroup& group) {
      families.add(metric.value(rank.report), {{"model_name", view.model_name},
                                               {"group", std::to_string(group.group())},
                                               {"rank", std::to_string(rank.rank_id)}});
    });
  }
  return families.text();
}

std::string page_html(const View& view) {
  std::string rows;
  for_known_ranks(view, [&](const Rank& rank, const RankGroup& group) {
    rows +=
        fmt::format("<tr><td>{}<td>{}<td>{}<td>{}:{}<td>{}<td>{}<td>{}<td>{:.0f} %<td>{}</tr>\n", rank.rank_id,
                    group.group(), state_name(rank.state), html_escaped(rank.registration.host()),
                    rank.registration.port(), html_escaped(rank.registration.device()), rank.report.sequences_running(),
                    rank.report.sequences_waiting(), 100 * kv_usage(rank.report), rank.report.generation_tokens());
  });
  return fmt::format(
      "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=2><title>Switchyard</title>\n"
      "<style>body{{font-family:monospace;margin:2em}}td,th{{padding:0 1em;text-align:left}}</style>\n"
      "<h1>{}</h1><p>{} · epoch {} · {} frontends · <a href=/cluster>cluster</a> · <a href=/placement>placement</a> · "
      "<a "
      "href=/metrics>metrics</a></"
      "p>\n<table><tr><th>rank<th>group<th>state<th>address<th>device<th>running<th>waiting<th>KV"
      "<th>tokens</tr>\n{}</table>\n",
      html_escaped(view.cluster_name), html_escaped(view.model_name), view.membership.epoch(),
      view.membership.frontends().size(), rows);
}

}  // namespace switchyard::coordinator
