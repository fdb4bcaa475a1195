// Goal: a config becomes the right processes on the right hosts, and ports are found and refused rightly.
// Method: command lines read off by hand; real sockets for ports.
#include "launch/plan.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "launch/cluster.h"
#include "launch/http_client.h"
#include "launch/ports.h"

namespace switchyard::launch {
namespace {

bool follows(const std::vector<std::string>& line, const std::string& flag, const std::string& value) {
  const auto at = std::adjacent_find(line.begin(), line.end(),
                                     [&](const auto& a, const auto& b) { return a == flag && b == value; });
  return at != line.end();
}

TEST(Plan, RanksAreProcessesOfTheLauncherAndOnOtherHostsOverSsh) {
  config::ClusterConfig config;
  config.worker.data_parallel_size = 2;
  auto plan = plan_processes(config, {"/bin", "/run/x", true});
  ASSERT_EQ(plan.size(), 4U);
  EXPECT_EQ(shell_line(plan[2].program.argv), "/bin/switchyard-worker --config /run/x/cluster.yaml --group 0 --rank 1");
  EXPECT_EQ(plan[2].program.name, "worker rank 1");
  EXPECT_EQ(plan[2].directory, "");
  EXPECT_EQ(plan[2].program.death_signal, SIGKILL);
  config.worker.hosts = {"localhost:1", "n2:1"};
  plan = plan_processes(config, {"/bin", "/run/x", true});
  EXPECT_EQ(plan[1].program.argv.front(), "/bin/switchyard-worker");
  EXPECT_EQ(plan[2].program.argv.front(), "ssh");
  EXPECT_TRUE(
      follows(plan[2].program.argv, "n2", "/bin/switchyard-worker --config /run/x/cluster.yaml --group 0 --rank 1"));
  config.worker.mpirun_args = {"--mca", "plm_rsh_agent", "rsh"};
  EXPECT_EQ(plan_processes(config, {"/bin", "/run/x", true})[2].program.argv.front(), "mpirun");
}

TEST(Plan, WithMpirunALocalClusterIsACoordinatorAJobForEachRankAndAFrontend) {
  config::ClusterConfig config;
  config.launcher = "mpirun";
  config.worker.data_parallel_size = 3;
  const auto plan = plan_processes(config, {"/bin", "/run/x", true});
  ASSERT_EQ(plan.size(), 5U);
  EXPECT_EQ(shell_line(plan[0].program.argv), "/bin/switchyard-coordinator --config /run/x/cluster.yaml");
  EXPECT_EQ(plan[0].role, Role::kCoordinator);
  EXPECT_EQ(shell_line(plan[4].program.argv), "/bin/switchyard-frontend --config /run/x/cluster.yaml --index 0");
  EXPECT_EQ(plan[4].role, Role::kFrontend);
  for (const uint32_t rank : {0U, 1U, 2U}) {
    const auto& process = plan[1 + rank];
    const auto& line = process.program.argv;
    EXPECT_EQ(process.role, Role::kWorkers);
    EXPECT_EQ(process.program.name, "worker rank " + std::to_string(rank));
    EXPECT_EQ(process.program.first_rank, rank);
    EXPECT_EQ(line.front(), "mpirun");
    EXPECT_TRUE(follows(line, "-n", "1"));
    EXPECT_NE(std::find(line.begin(), line.end(), "--allow-run-as-root"), line.end());
    EXPECT_TRUE(follows(line, "/bin/switchyard-worker", "--config"));
    EXPECT_TRUE(follows(line, "--rank", std::to_string(rank)));
    EXPECT_EQ(process.directory, "ranks-" + std::to_string(rank));
    EXPECT_TRUE(follows(line, "orte_tmpdir_base", "/run/x/" + process.directory));
  }
  // Frontends stop before the ranks that they talk to, and these before the coordinator.
  EXPECT_LT(plan[4].program.stop_order, plan[1].program.stop_order);
  EXPECT_LT(plan[1].program.stop_order, plan[0].program.stop_order);
}

TEST(Plan, RanksThatExchangeByMpiAreOneJob) {
  config::ClusterConfig config;
  config.worker.exchange = "mpi";
  config.worker.data_parallel_size = 3;
  const auto plan = plan_processes(config, {"/bin", "/run/x", true});
  ASSERT_EQ(plan.size(), 3U);
  EXPECT_EQ(plan[1].program.name, "worker ranks");
  EXPECT_TRUE(follows(plan[1].program.argv, "-n", "3"));
}

TEST(Plan, EachRankGoesToItsHost) {
  config::ClusterConfig config;
  config.worker.groups = 2;
  config.worker.data_parallel_size = 2;
  config.worker.hosts = {"n1:3", "n2:1"};
  config.launcher = "mpirun";
  auto plan = plan_processes(config, {"/bin", "/run/x", false});
  ASSERT_EQ(plan.size(), 6U);
  EXPECT_TRUE(follows(plan[3].program.argv, "--host", "n1:1"));
  EXPECT_TRUE(follows(plan[4].program.argv, "--host", "n2:1"));
  EXPECT_TRUE(follows(plan[4].program.argv, "--group", "1"));
  EXPECT_TRUE(follows(plan[4].program.argv, "--rank", "1"));
  EXPECT_EQ(plan[4].program.first_rank, 3U);
  EXPECT_EQ(plan[4].hosts, "n2");
  config.launcher = "srun";
  plan = plan_processes(config, {"/bin", "/run/x", false});
  const auto& line = plan[4].program.argv;
  EXPECT_TRUE(follows(line, "-n", "1"));
  EXPECT_NE(std::find(line.begin(), line.end(), "--nodelist=n2"), line.end());
  EXPECT_NE(std::find(line.begin(), line.end(), "--overlap"), line.end());
}

TEST(Plan, RanksOnOtherHostsAreNamedToMpirunWithTheirSlots) {
  config::ClusterConfig config;
  config.worker.exchange = "mpi";
  config.worker.data_parallel_size = 4;
  config.worker.gpus_per_node = 2;
  config.worker.hosts = {"n1", "n2:2"};
  const auto plan = plan_processes(config, {"/bin", "/run/x", false});
  EXPECT_TRUE(follows(plan[1].program.argv, "--host", "n1:2,n2:2"));
  EXPECT_EQ(std::count(plan[1].program.argv.begin(), plan[1].program.argv.end(), "--allow-run-as-root"), 0);
  EXPECT_EQ(remote_hosts(config), (std::vector<std::string>{"n1", "n2"}));
}

TEST(Plan, EachGroupOfMpiIsAJobWithADirectoryOfItsOwn) {
  config::ClusterConfig config;
  config.worker.exchange = "mpi";
  config.worker.groups = 2;
  config.worker.data_parallel_size = 3;
  const auto plan = plan_processes(config, {"/bin", "/run/x", false});
  ASSERT_EQ(plan.size(), 4U);
  EXPECT_EQ(plan[0].directory, "");
  EXPECT_EQ(plan[3].directory, "");
  for (const uint32_t group : {0U, 1U}) {
    const auto& process = plan[1 + group];
    const auto& line = process.program.argv;
    EXPECT_EQ(process.program.name, "worker group " + std::to_string(group));
    EXPECT_EQ(process.program.first_rank, 3 * group);
    EXPECT_TRUE(follows(line, "-n", "3"));
    EXPECT_TRUE(follows(line, "--group", std::to_string(group)));
    const std::string directory = "/run/x/ranks-" + std::to_string(3 * group);
    EXPECT_TRUE(follows(line, "orte_tmpdir_base", directory));
    EXPECT_TRUE(follows(line, "btl_vader_backing_directory", directory));
  }
  // They are stopped together.
  EXPECT_EQ(plan[1].program.stop_order, plan[2].program.stop_order);
}

TEST(Plan, GroupsOfMpiShareOutTheHosts) {
  config::ClusterConfig config;
  config.worker.exchange = "mpi";
  config.worker.groups = 3;
  config.worker.data_parallel_size = 2;
  config.worker.hosts = {"n1:3", "n2:3"};
  auto plan = plan_processes(config, {"/bin", "/run/x", false});
  EXPECT_TRUE(follows(plan[1].program.argv, "--host", "n1:2"));
  EXPECT_TRUE(follows(plan[2].program.argv, "--host", "n1:1,n2:1"));
  EXPECT_TRUE(follows(plan[3].program.argv, "--host", "n2:2"));
  EXPECT_EQ(plan[2].hosts, "n1, n2");
  config.launcher = "srun";
  plan = plan_processes(config, {"/bin", "/run/x", false});
  const auto& line = plan[2].program.argv;
  EXPECT_NE(std::find(line.begin(), line.end(), "--nodelist=n1,n2"), line.end());
  EXPECT_NE(std::find(line.begin(), line.end(), "--overlap"), line.end());
  EXPECT_TRUE(follows(line, "--group", "1"));
}

TEST(Plan, FrontendsOnOtherHostsGoThereInTurn) {
  config::ClusterConfig config;
  config.frontend.count = 3;
  config.frontend.hosts = {"c1", "localhost"};
  auto plan = plan_processes(config, {"/b in", "/run/x", false});
  ASSERT_EQ(plan.size(), 5U);
  EXPECT_EQ(plan[2].program.argv,
            (std::vector<std::string>{"ssh", "-tt", "-o", "BatchMode=yes", "c1",
                                      "'/b in/switchyard-frontend' --config /run/x/cluster.yaml --index 0"}));
  EXPECT_EQ(plan[3].program.argv.front(), "/b in/switchyard-frontend");
  EXPECT_EQ(plan[4].hosts, "c1");
  config.launcher = "srun";
  plan = plan_processes(config, {"/bin", "/run/x", false});
  EXPECT_EQ(plan[1].program.argv.front(), "srun");
  EXPECT_EQ(plan[2].program.argv.front(), "srun");
}

TEST(Plan, AContextLongerThanTheModelsIsRefused) {
  checkpoint::ModelSpec spec;
  spec.max_position = 4096;
  config::ClusterConfig config;
  for (const uint32_t fits : {0U, 1U, 4096U}) {
    config.model.max_model_len = fits;
    EXPECT_TRUE(check_context(config, spec).ok());
  }
  config.model.max_model_len = 4097;
  const Status refused = check_context(config, spec);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().message.starts_with("model.max_model_len: is 4097")) << refused.error().message;
}

TEST(Plan, ShellLinesAreQuotedWhereAShellWouldSplit) {
  EXPECT_EQ(shell_line({"a", "b c", "it's", "", "$x"}), "a 'b c' 'it'\\''s' '' '$x'");
}

TEST(Resolve, EverythingAutomaticIsFilledInAndPortsAreDistinct) {
  config::ClusterConfig config;
  config.model.path = "/models/tiny/";
  config.frontend.port = 0;
  config.frontend.count = 2;
  config.coordinator.admin_port = 0;
  const auto resolved = resolve(config);
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->model.served_model_name, "tiny");
  EXPECT_GT(resolved->worker.threads_per_rank, 0U);
  std::vector<int> ports{resolved->frontend.port, resolved->frontend.port + 1, resolved->coordinator.port,
                         resolved->coordinator.admin_port};
  std::sort(ports.begin(), ports.end());
  EXPECT_GT(ports.front(), 0);
  EXPECT_EQ(std::adjacent_find(ports.begin(), ports.end()), ports.end());
}

TEST(Resolve, TheCoresAreSharedByTheRanksOfAllGroups) {
  config::ClusterConfig config;
  config.model.path = "/models/tiny";
  const auto alone = resolve(config);
  ASSERT_TRUE(alone.ok());
  config.worker.groups = alone->worker.threads_per_rank;  // as many as there are cores
  EXPECT_EQ(resolve(config)->worker.threads_per_rank, 1U);
  config.worker.groups *= 2;
  EXPECT_EQ(resolve(config)->worker.threads_per_rank, 1U);
}

TEST(Ports, AListeningPortIsRefusedByName) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  const uint16_t port = ntohs(address.sin_port);
  const auto status = check_port_free("127.0.0.1", port);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "127.0.0.1:" + std::to_string(port) + ": Address already in use");
  close(fd);
  EXPECT_TRUE(check_port_free("127.0.0.1", port).ok());
  EXPECT_FALSE(check_port_free("192.0.2.1", port).ok());  // TEST-NET: never an address of this machine
}

TEST(Url, PartsAreReadAndNonsenseIsRefused) {
  const auto url = parse_url("http://h.example:81/base/");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->host, "h.example");
  EXPECT_EQ(url->port, 81);
  EXPECT_EQ(url->prefix, "/base");
  EXPECT_EQ(parse_url("127.0.0.1:9")->port, 9);
  EXPECT_EQ(parse_url("http://[::1]:9")->host, "::1");
  EXPECT_EQ(parse_url("https://h")->port, 443);
  EXPECT_NE(parse_url("https://h")->tls, nullptr);
  EXPECT_EQ(parse_url("http://h")->tls, nullptr);
  EXPECT_NE(parse_url("https://h", {.ca_file = "/no/such.pem"}).error().message.find("--ca-file: /no/such.pem"),
            std::string::npos);
  EXPECT_FALSE(parse_url("ftp://h").ok());
  EXPECT_FALSE(parse_url("http://").ok());
  EXPECT_FALSE(parse_url("a b").ok());
  EXPECT_EQ(url_text("::1", 9), "http://[::1]:9");
}

}  // namespace
}  // namespace switchyard::launch
