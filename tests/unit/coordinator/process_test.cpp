// Goal: the coordinator's process starts from a file, ends as it should, and says why when it cannot start.
// Method: the executable itself, with a config, a secret and a model directory of our own.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace switchyard::coordinator {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 20s;
const std::string kBinary = SWITCHYARD_BUILD_BIN "/switchyard-coordinator";

constexpr auto kLlama = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
  "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3, "head_dim": 16,
  "vocab_size": 512, "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
  "hidden_act": "silu", "tie_word_embeddings": false, "torch_dtype": "bfloat16", "bos_token_id": 0, "eos_token_id": 6})";

template <typename Condition>
bool eventually(Condition condition) {
  for (const auto end = std::chrono::steady_clock::now() + kPatience; std::chrono::steady_clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

// A port that nobody has now.
uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  socklen_t size = sizeof(address);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

class CoordinatorProcess : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/switchyard-coordinator-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    write("model/config.json", kLlama);
    write("secret", "secret\n");
    ASSERT_EQ(::chmod((folder_ / "secret").c_str(), 0600), 0);
    port_ = free_port();
    do {
      admin_port_ = free_port();
    } while (admin_port_ == port_);
    write_config(port_, "secret");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((folder_ / file).parent_path());
    std::ofstream(folder_ / file) << text;
  }
  void write_config(uint16_t port, const std::string& secret) const {
    std::ostringstream text;
    text << "secret_file: \"" << (secret.empty() ? "" : (folder_ / secret).string()) << "\"\nmodel:\n  path: \""
         << (folder_ / "model").string() << "\"\ncoordinator:\n  port: " << port << "\n  admin_port: " << admin_port_
         << "\n";
    write("cluster.yaml", text.str());
  }
  pid_t spawn(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {kBinary, "--config", (folder_ / "cluster.yaml").string()};
    words.insert(words.end(), more.begin(), more.end());
    const std::string log = (folder_ / "log").string();
    ::unlink(log.c_str());  // of the process before
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    const int fd = ::open(log.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    ::dup2(fd, STDERR_FILENO);
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  static int exit_status(pid_t pid) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  std::string log() const {
    std::ifstream in(folder_ / "log");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  bool wait_ready() const {
    return eventually([this] { return log().find("coordinator ready") != std::string::npos; });
  }
  // Whether somebody accepts connections on the admin port.
  bool answers() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(admin_port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool connected = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    ::close(fd);
    return connected;
  }

  std::filesystem::path folder_;
  uint16_t port_ = 0, admin_port_ = 0;
};

TEST_F(CoordinatorProcess, EndsWithZeroOnSigtermAndSigint) {
  for (const int signal : {SIGTERM, SIGINT}) {
    const pid_t pid = spawn();
    ASSERT_TRUE(wait_ready()) << log();
    EXPECT_TRUE(answers());
    ::kill(pid, signal);
    EXPECT_EQ(exit_status(pid), 0) << log();
  }
}

TEST_F(CoordinatorProcess, SaysWhyItCannotStart) {
  write_config(0, "secret");
  EXPECT_EQ(exit_status(spawn()), 1);
  EXPECT_NE(log().find("coordinator.port"), std::string::npos) << log();

  write_config(port_, "");
  EXPECT_EQ(exit_status(spawn()), 1);
  EXPECT_NE(log().find("secret_file"), std::string::npos) << log();

  write_config(port_, "missing");
  EXPECT_EQ(exit_status(spawn()), 1);
  EXPECT_NE(log().find("missing"), std::string::npos) << log();

  write_config(port_, "secret");
  write("model/config.json", "{");
  EXPECT_EQ(exit_status(spawn()), 1);
  EXPECT_NE(log().find("config.json"), std::string::npos) << log();
}

// The middle process stands for the launcher: it starts the coordinator and is killed without a chance to say goodbye.
TEST_F(CoordinatorProcess, DiesWithTheProcessThatStartedIt) {
  const pid_t launcher = ::fork();
  if (launcher == 0) {
    spawn({"--die-with-parent", std::to_string(::getpid())});
    while (true) ::pause();
  }
  const bool ready = wait_ready();
  ::kill(launcher, SIGKILL);
  EXPECT_EQ(exit_status(launcher), -SIGKILL);
  ASSERT_TRUE(ready) << log();
  EXPECT_TRUE(eventually([this] { return !answers(); }));
}

TEST_F(CoordinatorProcess, DoesNotStartWhenItsParentIsAnotherOneAlready) {
  EXPECT_EQ(exit_status(spawn({"--die-with-parent", "1"})), 1);
  EXPECT_EQ(log().find("ready"), std::string::npos);
}

}  // namespace
}  // namespace switchyard::coordinator
