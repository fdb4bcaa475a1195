// Goal: keys and the secret come from where they are documented to, nothing of them stays where others look, and a port
// that other machines reach asks for one.
#include "launch/keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "common/config/schema.h"

namespace switchyard::launch {
namespace {

namespace fs = std::filesystem;

class Keys : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/keys_" + std::to_string(getpid());
    fs::create_directories(directory_);
  }
  void TearDown() override {
    fs::remove_all(directory_);
    for (const char* variable : {kApiKeyVariable, kAdminKeyVariable, kSecretVariable}) unsetenv(variable);
  }

  std::string file(const std::string& text, mode_t mode) const {
    const std::string path = directory_ + "/file";
    std::ofstream(path) << text;
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }

  std::string directory_;
  config::ClusterConfig config_;
};

TEST_F(Keys, AreTakenOutOfTheEnvironment) {
  setenv(kApiKeyVariable, " sk-a,sk-b ,, ", 1);
  setenv(kAdminKeyVariable, "admin-1\n", 1);
  setenv(kSecretVariable, "0123456789abcdef", 1);
  const auto secret = take_environment(config_);
  ASSERT_TRUE(secret.ok()) << secret.error().message;
  EXPECT_EQ(*secret, "0123456789abcdef");
  EXPECT_EQ(config_.frontend.api_keys, (std::vector<std::string>{"sk-a", "sk-b"}));
  EXPECT_EQ(config_.coordinator.admin_api_key, "admin-1");
  for (const char* variable : {kApiKeyVariable, kAdminKeyVariable, kSecretVariable})
    EXPECT_EQ(getenv(variable), nullptr) << variable << " is what every child would inherit";
}

TEST_F(Keys, OfTheConfigurationComeBeforeThoseOfTheEnvironment) {
  config_.frontend.api_keys = {"mine"};
  config_.coordinator.admin_api_key_file = "/some/file";
  config_.secret_file = "/another/file";
  setenv(kApiKeyVariable, "other", 1);
  setenv(kAdminKeyVariable, "other", 1);
  setenv(kSecretVariable, "another 16 bytes", 1);
  const auto secret = take_environment(config_);
  ASSERT_TRUE(secret.ok());
  EXPECT_EQ(*secret, "");
  EXPECT_EQ(config_.frontend.api_keys, (std::vector<std::string>{"mine"}));
  EXPECT_EQ(config_.coordinator.admin_api_key, "");
}

TEST_F(Keys, AnEnvironmentOfCommasOrAShortSecretIsRefusedByTheVariablesName) {
  setenv(kApiKeyVariable, " , ,", 1);
  const auto commas = take_environment(config_);
  ASSERT_FALSE(commas.ok());
  EXPECT_NE(commas.error().message.find(kApiKeyVariable), std::string::npos) << commas.error().message;
  setenv(kSecretVariable, "hunter2", 1);
  const auto weak = take_environment(config_);
  ASSERT_FALSE(weak.ok());
  EXPECT_NE(weak.error().message.find(kSecretVariable), std::string::npos) << weak.error().message;
  EXPECT_EQ(weak.error().message.find("hunter2"), std::string::npos) << "a secret in a message";
}

TEST_F(Keys, OfTheAdminApiComeFromAFileThatOnlyItsOwnerReads) {
  config_.coordinator.admin_api_key_file = file("s3cret\n", 0600);
  ASSERT_TRUE(read_key_files(config_).ok());
  EXPECT_EQ(config_.coordinator.admin_api_key, "s3cret");

  config_.coordinator.admin_api_key_file = file("s3cret\n", 0644);
  const auto refused = read_key_files(config_);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().message.starts_with("coordinator.admin_api_key_file: ")) << refused.error().message;
  EXPECT_EQ(refused.error().message.find("s3cret"), std::string::npos) << "a key in a message";
}

TEST_F(Keys, ASecretFileIsLookedAtBeforeAnythingStarts) {
  config_.secret_file = file("short", 0600);
  EXPECT_NE(read_key_files(config_).error().message.find("secret_file: "), std::string::npos);
  config_.secret_file = file("0123456789abcdef", 0640);
  EXPECT_NE(read_key_files(config_).error().message.find("chmod 600"), std::string::npos);
  config_.secret_file = file("0123456789abcdef", 0600);
  EXPECT_TRUE(read_key_files(config_).ok());
}

TEST_F(Keys, AreHiddenInTheArgumentsThatOthersSee) {
  std::vector<std::string> words = {
      "switchyard", "serve",     "--api-key", "sk-one", "--admin-api-key=sk-two", "--port",
      "8000",       "--api-key", "--x",       "MODEL",  "--api-keys-file=keys"};
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  const auto taken = take_arguments(static_cast<int>(argv.size()), argv.data());
  EXPECT_EQ(taken, (std::vector<std::string>{"serve", "--api-key", "sk-one", "--admin-api-key=sk-two", "--port", "8000",
                                             "--api-key", "--x", "MODEL", "--api-keys-file=keys"}));
  EXPECT_EQ(words, (std::vector<std::string>{"switchyard", "serve", "--api-key", "xxxxxx", "--admin-api-key=xxxxxx",
                                             "--port", "8000", "--api-key", "xxx", "MODEL", "--api-keys-file=keys"}));
}

TEST_F(Keys, AreAskedForWhereOtherMachinesReachAPort) {
  EXPECT_TRUE(config::check_exposure(config_).ok()) << "loopback is the default";
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "gpu1", "127.attacker.example"}) {
    config_ = {};
    config_.frontend.host = host;
    auto refused = config::check_exposure(config_);
    ASSERT_FALSE(refused.ok()) << host;
    for (const char* part : {"frontend.host", "--api-key", "--allow-unauthenticated"})
      EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
    config_.frontend.allow_unauthenticated = true;
    EXPECT_TRUE(config::check_exposure(config_).ok());
    config_.frontend = {};
    config_.frontend.host = host;
    config_.frontend.api_keys = {"sk"};
    EXPECT_TRUE(config::check_exposure(config_).ok());
    config_.frontend.api_keys.clear();
    config_.frontend.api_keys_file = "/keys";
    EXPECT_TRUE(config::check_exposure(config_).ok());

    config_ = {};
    config_.coordinator.admin_host = host;
    config_.frontend.allow_unauthenticated = true;  // says nothing about the admin API
    refused = config::check_exposure(config_);
    ASSERT_FALSE(refused.ok()) << host;
    EXPECT_NE(refused.error().message.find("coordinator.admin_host"), std::string::npos) << refused.error().message;
    config_.coordinator.admin_api_key = "key";
    EXPECT_TRUE(config::check_exposure(config_).ok());
  }
}

}  // namespace
}  // namespace switchyard::launch
