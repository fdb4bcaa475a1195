#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "common/net/handshake.h"
#include "common/net/net.h"

namespace switchyard::net {
namespace {

class SecretFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/switchyard-secret-XXXXXX";
    const int fd = mkstemp(name.data());
    ASSERT_GE(fd, 0);
    ::close(fd);
    file_ = name;
  }
  void TearDown() override { ::unlink(file_.c_str()); }

  void write(const std::string& text, mode_t mode) {
    std::ofstream(file_, std::ios::trunc) << text;
    ASSERT_EQ(::chmod(file_.c_str(), mode), 0);
  }

  std::string file_;
};

TEST_F(SecretFile, IsReadWithoutItsTrailingLineEnd) {
  write("top secret \r\n\n", 0600);
  const auto secret = load_secret(file_);
  ASSERT_TRUE(secret.ok()) << secret.error().message;
  EXPECT_EQ(*secret, "top secret");
}

TEST_F(SecretFile, OthersMayNotReadOrWriteIt) {
  for (const mode_t mode : {0640, 0604, 0620, 0601}) {
    write("x", mode);
    const auto secret = load_secret(file_);
    ASSERT_FALSE(secret.ok()) << mode;
    EXPECT_NE(secret.error().message.find(file_), std::string::npos);
  }
}

TEST_F(SecretFile, EmptyOrBlankIsRefused) {
  write("", 0600);
  EXPECT_FALSE(load_secret(file_).ok());
  write(" \n", 0600);
  EXPECT_FALSE(load_secret(file_).ok());
}

TEST_F(SecretFile, FourKibibytesAreTheMost) {
  write(std::string(4096, 'x'), 0600);
  EXPECT_TRUE(load_secret(file_).ok());
  write(std::string(4097, 'x'), 0600);
  EXPECT_FALSE(load_secret(file_).ok());
}

TEST_F(SecretFile, MissingFilesAndDirectoriesAreErrors) {
  EXPECT_EQ(load_secret("/nonexistent/secret").error().code, Errc::kIo);
  EXPECT_FALSE(load_secret("/tmp").ok());
}

TEST(Secret, IsNewEachTimeAndHas64HexadecimalCharacters) {
  const auto a = make_secret(), b = make_secret();
  EXPECT_NE(a, b);
  EXPECT_EQ(a.size(), 64U);
  EXPECT_EQ(a.find_first_not_of("0123456789abcdef"), std::string::npos);
}

// RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?".
TEST(Proof, IsHmacSha256) {
  const auto proof = proof_of("Jefe", "what do ", "ya want ", "for nothing?");
  std::string hex;
  for (const unsigned char c : proof) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[c >> 4];
    hex += kDigits[c & 15];
  }
  EXPECT_EQ(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

}  // namespace
}  // namespace switchyard::net
