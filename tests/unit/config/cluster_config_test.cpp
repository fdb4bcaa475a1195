// Goal: a file means what it says, and a file that cannot work is refused with every file, line and key at once.
// Method: small files with known lines; the expected values are read off them by hand.
#include "common/config/cluster_config.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "common/config/rank_places.h"
#include "common/config/schema.h"

namespace switchyard::config {
namespace {

using testing::Test;

class ClusterConfigTest : public Test {
 protected:
  ClusterConfigTest() {
    std::string name = (std::filesystem::temp_directory_path() / "switchyard-config-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~ClusterConfigTest() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& text) {
    const auto file = directory_ / "c.yaml";
    std::ofstream(file, std::ios::binary) << text;
    return file.string();
  }
  // The error's lines without the directory: "c.yaml:3: worker.x: ...".
  std::string errors_of(const std::string& text) {
    auto result = load(write(text));
    if (result.ok()) return "";
    std::string message = result.error().message;
    const std::string prefix = directory_.string() + "/";
    for (size_t at; (at = message.find(prefix)) != std::string::npos;) message.erase(at, prefix.size());
    return message;
  }

  std::filesystem::path directory_;
};

TEST_F(ClusterConfigTest, AFileWithAModelAloneHasTheDefaults) {
  auto config = load(write("model:\n  path: /m\n"));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->model.path, "/m");
  EXPECT_EQ(config->frontend.port, 8000);
  EXPECT_EQ(config->coordinator.admin_port, 8001);
  EXPECT_EQ(config->worker.block_size, 16U);
}

TEST_F(ClusterConfigTest, WrongKeysAndImpossibleCombinationsAreToldAtOnce) {
  EXPECT_EQ(errors_of("model: {path: /m}\nworker:\n  blok_size: 4\n  exchange: local\n  data_parallel_size: 2\n"),
            "c.yaml:3: worker.blok_size: is not a key (did you mean block_size?)\n"
            "c.yaml:4: worker.exchange: local joins one rank, and data_parallel_size is 2");
  // What stands in for a value that could not be read is in no combination.
  EXPECT_EQ(errors_of("model: {path: /m}\nheartbeat_ms: 60000\nworker: {step_deadline_ms: x}\n").find("longer than"),
            std::string::npos);
}

TEST_F(ClusterConfigTest, KeysLandInTheirFieldsWithDashesToo) {
  auto config = load(write(R"(
name: alpha
heartbeat-ms: 250
model: {path: /m, served-model-name: n, max_model_len: 4096, dtype: float32}
worker:
  data-parallel-size: 4
  pin_threads: true
  hosts: [127.0.0.1:2, "localhost:2"]
  kv_cache_memory_mib: 5000000
  gpu_memory_utilization: 0.5
frontend: {api_keys: [a, 12], port: 0}
log:
)"));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->name, "alpha");
  EXPECT_EQ(config->heartbeat_ms, 250U);
  EXPECT_EQ(config->model.served_model_name, "n");
  EXPECT_EQ(config->model.max_model_len, 4096U);
  EXPECT_EQ(config->model.dtype, "float32");
  EXPECT_EQ(config->worker.data_parallel_size, 4U);
  EXPECT_TRUE(config->worker.pin_threads);
  EXPECT_EQ(config->worker.hosts, (std::vector<std::string>{"127.0.0.1:2", "localhost:2"}));
  EXPECT_EQ(config->worker.kv_cache_memory_mib, 5000000U);
  EXPECT_EQ(config->worker.gpu_memory_utilization, 0.5);
  EXPECT_EQ(config->frontend.api_keys, (std::vector<std::string>{"a", "12"}));
  EXPECT_EQ(config->frontend.port, 0);
}

TEST_F(ClusterConfigTest, RelativePathsAreMeantFromTheFile) {
  auto config = load(write("secret_file: s\nmodel: {path: ../m, chat_template: /abs/t.jinja}\n"));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->model.path, (directory_.parent_path() / "m").string());
  EXPECT_EQ(config->secret_file, (directory_ / "s").string());
  EXPECT_EQ(config->model.chat_template, "/abs/t.jinja");
}

TEST_F(ClusterConfigTest, EveryProblemIsNamedAtOnceInTheOrderOfLines) {
  EXPECT_EQ(errors_of("nmae: x\n"
                      "model:\n"
                      "  dtype: float23\n"
                      "worker:\n"
                      "  data_parallel_sise: 2\n"
                      "  block_size: 0\n"
                      "  pin_threads: maybe\n"
                      "  max_num_seqs: many\n"
                      "frontend:\n"
                      "  port: 99999\n"
                      "  hosts: here\n"),
            "c.yaml:1: nmae: is not a key (did you mean name?)\n"
            "c.yaml:2: model.path: is missing\n"
            "c.yaml:3: model.dtype: 'float23' is not one of auto, float32, bfloat16 (did you mean float32?)\n"
            "c.yaml:5: worker.data_parallel_sise: is not a key (did you mean data_parallel_size?)\n"
            "c.yaml:6: worker.block_size: 0 is out of range; it takes a whole number from 1 to 1024\n"
            "c.yaml:7: worker.pin_threads: 'maybe' is not true or false\n"
            "c.yaml:8: worker.max_num_seqs: 'many' is not a whole number from 1 to 65536\n"
            "c.yaml:10: frontend.port: 99999 is out of range; it takes a whole number from 0 to 65535\n"
            "c.yaml:11: frontend.hosts: is text; it takes a list of texts");
}

TEST_F(ClusterConfigTest, AKeyOutsideItsSectionIsSentThere) {
  EXPECT_EQ(errors_of("model: {path: /m}\nblock_size: 16\n"),
            "c.yaml:2: block_size: is not a key (it is worker.block_size)");
}

TEST_F(ClusterConfigTest, AKeyGivenTwiceIsRefusedInEitherSpelling) {
  EXPECT_EQ(errors_of("model: {path: /m}\nworker:\n  block_size: 16\n  block-size: 8\n"),
            "c.yaml:4: worker.block_size: is given twice, in line 3 too");
}

TEST_F(ClusterConfigTest, WrongKindsOfValuesAreRefused) {
  EXPECT_EQ(errors_of("model: {path: /m}\nfrontend: {port: \"8000\"}\n"),
            "c.yaml:2: frontend.port: \"8000\" is text; it takes a whole number from 0 to 65535");
  EXPECT_EQ(errors_of("model: {path: /m}\nfrontend:\n  port:\n"),
            "c.yaml:3: frontend.port: has no value; it takes a whole number from 0 to 65535");
  EXPECT_EQ(errors_of("model: [1]\n"),
            "c.yaml:1: model: is a section of keys, not a list\nc.yaml:1: model.path: is missing");
  EXPECT_EQ(errors_of("model: {path: {a: b}}\n"), "c.yaml:1: model.path: is a section; it takes text");
  EXPECT_EQ(errors_of("model: {path: /m}\nworker: {hosts: [[a]]}\n"),
            "c.yaml:2: worker.hosts: an element is a list; it takes a list of texts");
  EXPECT_EQ(errors_of("- a\n"), "c.yaml:1: a file of keys is expected, not a list");
  EXPECT_EQ(errors_of(""), "c.yaml:1: model.path: is missing");
  EXPECT_EQ(errors_of("model: {path: /m}\nheartbeat_ms: 1.5\n"),
            "c.yaml:2: heartbeat_ms: '1.5' is not a whole number from 10 to 60000");
  EXPECT_EQ(errors_of("model: {path: /m}\nheartbeat_ms: -1\n"),
            "c.yaml:2: heartbeat_ms: -1 is out of range; it takes a whole number from 10 to 60000");
  EXPECT_EQ(errors_of("model: {path: /m}\nheartbeat_ms: 99999999999999999999\n"),
            "c.yaml:2: heartbeat_ms: 99999999999999999999 is out of range; it takes a whole number from 10 to 60000");
}

TEST_F(ClusterConfigTest, TextThatIsNoYamlIsNamedWithItsLine) {
  EXPECT_EQ(errors_of("model: {path: /m}\nworker: {a: [\n").substr(0, 20), "c.yaml:3: not YAML: ");
  EXPECT_EQ(errors_of("a: b: c\n").substr(0, 20), "c.yaml:1: not YAML: ");
  EXPECT_NE(errors_of(std::string(4000, '[')), "");
  EXPECT_NE(errors_of("a: *nobody\n"), "");
  EXPECT_NE(errors_of("&a [*a, *a]\n"), "");
  EXPECT_NE(errors_of(std::string("\0\x01\xff\xfe", 4)), "");
  EXPECT_EQ(errors_of(std::string((1 << 20) + 1, '#')), "c.yaml: is larger than 1048576 bytes");
}

TEST_F(ClusterConfigTest, ASecondDocumentIsRefusedWithItsLine) {
  for (const char* second : {"model: {path: /n}", "[a]", "text", "~"})
    EXPECT_EQ(errors_of("model: {path: /m}\n---\n" + std::string(second) + "\n"),
              "c.yaml:3: a second document; one is expected");
  EXPECT_EQ(errors_of("---\nmodel: {path: /m}\n...\n"), "");
  EXPECT_EQ(errors_of("model: {path: /m}\n---\n[\n").substr(0, 20), "c.yaml:4: not YAML: ");
}

TEST_F(ClusterConfigTest, AFileThatIsNotThereIsNamed) {
  auto result = load((directory_ / "none.yaml").string());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message,
            (directory_ / "none.yaml").string() + ": cannot be read: No such file or directory");
  EXPECT_EQ(load(directory_.string()).error().message, directory_.string() + ": is a directory, not a file");
}

TEST_F(ClusterConfigTest, CombinationsThatCannotWorkAreRefusedAllAtOnce) {
  EXPECT_EQ(
      errors_of("model: {path: /m}\n"
                "worker:\n"
                "  data_parallel_size: 4\n"
                "  exchange: local\n"
                "  hosts: [n1:1, n2:2]\n"
                "frontend:\n"
                "  port: 8001\n"),
      "c.yaml:1: coordinator.host: 127.0.0.1 cannot be reached from other machines, and worker.hosts names some\n"
      "c.yaml:1: coordinator.admin_port: 8001 is a frontend's port as well\n"
      "c.yaml:2: worker.listen_host: 127.0.0.1 cannot be reached from other machines, and worker.hosts names some\n"
      "c.yaml:4: worker.exchange: local joins one rank, and data_parallel_size is 4\n"
      "c.yaml:5: worker.hosts: have room for 3 ranks, and data_parallel_size is 4");
  EXPECT_EQ(errors_of("model: {path: /m}\nworker: {device: cpu, exchange: nccl}\n"),
            "c.yaml:2: worker.exchange: nccl moves GPU memory, and device is cpu");
  EXPECT_EQ(errors_of("model: {path: /m}\nlauncher: srun\nworker: {mpirun_args: [-x]}\n"),
            "c.yaml:3: worker.mpirun_args: are given, and launcher is srun");
  EXPECT_EQ(errors_of("model: {path: /m}\nworker: {gpu_model: A40-48GB, gpus_per_node: 1, data_parallel_size: 2}\n"),
            "c.yaml:2: worker.data_parallel_size: is 2, and this machine has 1 GPUs (gpus_per_node)");
  EXPECT_EQ(errors_of("model: {path: /m}\nworker: {gpu_model: A40-48GB, gpus_per_node: 3, data_parallel_size: 2, "
                      "groups: 2}\n"),
            "c.yaml:2: worker.groups: 2 groups of 2 ranks are 4, and this machine has 3 GPUs (gpus_per_node)");
  EXPECT_EQ(errors_of("model: {path: /m}\nworker: {hosts: [localhost:3], data_parallel_size: 2, groups: 2}\n"),
            "c.yaml:2: worker.hosts: have room for 3 ranks, and 2 groups of 2 ranks are 4");
  EXPECT_EQ(errors_of("model: {path: /m}\nworker: {groups: 1024, data_parallel_size: 5}\n"),
            "c.yaml:2: worker.groups: a cluster has at most 4096 ranks, and 1024 groups of 5 ranks are 5120");
  EXPECT_EQ(errors_of("model: {path: /m}\nworker: {min_ranks: 3, data_parallel_size: 2, groups: 2}\n"),
            "c.yaml:2: worker.min_ranks: is 3, and a group has 2 ranks (data_parallel_size)");
  EXPECT_EQ(errors_of("model: {path: /m}\nworker: {min_ranks: 2, data_parallel_size: 2}\n"), "");
  EXPECT_EQ(errors_of("model: {path: /m}\nfrontend: {api_keys: [a, b]}\ncoordinator: {admin_api_key: b}\n"),
            "c.yaml:3: coordinator.admin_api_key: is one of frontend.api_keys as well: who may use the model could "
            "end the cluster with it");
  EXPECT_EQ(errors_of("model: {path: /m}\nfrontend: {api_keys: [a, b]}\ncoordinator: {admin_api_key: c}\n"), "");
  EXPECT_EQ(errors_of("model: {path: /m}\nworker: {groups: 0}\n"),
            "c.yaml:2: worker.groups: 0 is out of range; it takes a whole number from 1 to 1024");
}

TEST_F(ClusterConfigTest, WhatIsWrittenIsReadBackTheSame) {
  ClusterConfig config;
  config.name = "a: \"b\" #c\n";
  config.model.path = "/with space/é";
  config.worker.data_parallel_size = 3;
  config.worker.hosts = {"127.0.0.1:2", "localhost"};
  config.worker.gpu_memory_utilization = 0.1;
  config.worker.pin_threads = true;
  config.worker.kv_cache_memory_mib = 123456;
  config.worker.placement = "random:7";
  config.frontend.api_keys = {"true", "null", "1"};
  config.frontend.port = 9;
  auto again = load(write(to_yaml(config)));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->name, config.name);
  EXPECT_EQ(again->frontend.api_keys, config.frontend.api_keys);
  for (const Key& key : keys()) EXPECT_EQ(value_text(key, *again), value_text(key, config)) << key.dotted();
}

TEST(RankPlaces, GroupsFillTheHostsOneAfterAnother) {
  using Places = std::vector<RankPlace>;
  WorkerConfig worker;
  worker.groups = 2;
  worker.data_parallel_size = 3;
  EXPECT_EQ(rank_places(worker), (Places{{"", 0, 6}, {"", 1, 6}, {"", 2, 6}, {"", 3, 6}, {"", 4, 6}, {"", 5, 6}}));
  worker.hosts = {"a:2", "b:4"};
  EXPECT_EQ(rank_places(worker),
            (Places{{"a", 0, 2}, {"a", 1, 2}, {"b", 0, 4}, {"b", 1, 4}, {"b", 2, 4}, {"b", 3, 4}}));
  // Without slots a host has room for a group; when all are full the first is next.
  worker.groups = 3;
  worker.data_parallel_size = 1;
  worker.hosts = {"a", "b"};
  EXPECT_EQ(rank_places(worker), (Places{{"a", 0, 2}, {"b", 0, 1}, {"a", 1, 2}}));
  worker.gpus_per_node = 2;
  EXPECT_EQ(rank_places(worker), (Places{{"a", 0, 2}, {"a", 1, 2}, {"b", 0, 1}}));
}

TEST(Schema, EveryFieldOfTheConfigHasExactlyOneKey) {
  // Every key writes to a place of its own; the places are counted against the struct by hand.
  ClusterConfig config;
  std::vector<const void*> places;
  for (const Key& key : keys()) {
    places.push_back(std::visit([&](auto field) -> const void* { return &field(config); }, key.field));
  }
  std::sort(places.begin(), places.end());
  EXPECT_EQ(std::adjacent_find(places.begin(), places.end()), places.end());
  EXPECT_EQ(places.size(), 5U + 10U + 8U + 24U + 22U + 3U + 2U);
}

TEST(Schema, DefaultsPassTheirOwnChecks) {
  ClusterConfig config;
  config.model.path = "/m";
  auto status = validate(config);
  EXPECT_TRUE(status.ok()) << status.error().message;
  config.worker.block_size = 0;
  EXPECT_EQ(validate(config).error().message,
            "worker.block_size: 0 is out of range; it takes a whole number from 1 to 1024");
}

TEST(Schema, HelpNamesEveryKey) {
  const std::string help = help_text();
  for (const Key& key : keys()) EXPECT_NE(help.find(std::string(key.name) + ": "), std::string::npos) << key.dotted();
}

TEST(Schema, FlagsAreNotSharedByTwoKeys) {
  std::vector<std::string_view> flags;
  for (const Key& key : keys()) {
    if (!key.flag.empty()) flags.push_back(key.flag);
  }
  std::sort(flags.begin(), flags.end());
  EXPECT_EQ(std::adjacent_find(flags.begin(), flags.end()), flags.end());
}

TEST(Schema, ListsTakeOneElementACall) {
  ClusterConfig config;
  const Key* key = find_key("frontend", "api_keys");
  ASSERT_NE(key, nullptr);
  EXPECT_TRUE(set_from_text(*key, "a", config).ok());
  EXPECT_TRUE(set_from_text(*key, "b", config).ok());
  EXPECT_FALSE(set_from_text(*key, "", config).ok());
  EXPECT_EQ(config.frontend.api_keys, (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace switchyard::config
