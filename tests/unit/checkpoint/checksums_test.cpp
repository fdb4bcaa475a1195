// Goal: checksums that were given with a checkpoint find every file that is not what it was.
// Method: files of known SHA-256 (FIPS 180-2, appendix B: "abc", and the 56-byte message), lists in every form that is
// read, and files broken on purpose.
#include "common/checkpoint/checksums.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "common/checkpoint/checkpoint.h"
#include "tests/unit/checkpoint/raw_checkpoint.h"

namespace switchyard::checkpoint {
namespace {

namespace fs = std::filesystem;
using testing::CheckpointCopy;
using testing::write_bytes;

const std::string kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const std::string kLong = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
const std::string kLongDigest = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";

class Checksums : public ::testing::Test {
 protected:
  void SetUp() override {
    write_bytes(file("a.safetensors"), "abc");
    write_bytes(file("b.safetensors"), kLong);
    fs::remove(file("model.safetensors"));
  }
  fs::path file(const std::string& name) const { return copy_.file(name); }
  // What verify_checksums() says; "" when all is well.
  std::string problems() const {
    const Status status = verify_checksums(copy_.path(), 2, {});
    return status.ok() ? "" : status.error().message;
  }
  size_t given() const { return given_checksums(copy_.path())->size(); }

  const CheckpointCopy copy_{"qwen3-moe-tiny"};
};

TEST_F(Checksums, KnownFilesHaveTheirKnownDigests) {
  EXPECT_EQ(*sha256_of_file(file("a.safetensors")), kAbc);
  EXPECT_EQ(*sha256_of_file(file("b.safetensors")), kLongDigest);
}

TEST_F(Checksums, EveryFormOfAListIsRead) {
  const std::string upper = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
  for (const std::string& list :
       {kAbc + "  a.safetensors\n" + kLongDigest + " *b.safetensors\n",
        "# made by hand\n\n" + upper + "  ./a.safetensors\r\n" + kLongDigest + "  b.safetensors",
        "SHA256 (a.safetensors) = " + kAbc + "\nSHA256 (b.safetensors) = " + kLongDigest + "\n"}) {
    for (const char* name : {"SHA256SUMS", "checksums.sha256"}) {
      write_bytes(file(name), list);
      EXPECT_EQ(given(), 2U) << list;
      EXPECT_EQ(problems(), "") << list;
      fs::remove(file(name));
    }
  }
}

TEST_F(Checksums, AFilesOwnListAndHuggingFacesAreRead) {
  write_bytes(file("a.safetensors.sha256"), kAbc + "\n");
  fs::create_directories(file(".cache/huggingface/download"));
  write_bytes(file(".cache/huggingface/download/b.safetensors.metadata"),
              "0123456789abcdef0123456789abcdef01234567\n" + kLongDigest + "\n1732700000.0\n");
  EXPECT_EQ(problems(), "");
  EXPECT_EQ(given(), 2U);

  // As in ~/.cache/huggingface/hub/models--org--name/snapshots/REVISION.
  fs::remove_all(file(".cache"));
  fs::create_directories(file("blobs"));
  fs::rename(file("b.safetensors"), file("blobs/" + kLongDigest));
  fs::create_symlink("blobs/" + kLongDigest, file("b.safetensors"));
  EXPECT_EQ(problems(), "");
  EXPECT_EQ(given(), 2U);
  write_bytes(file("blobs/" + kLongDigest), "another");
  EXPECT_NE(problems().find("(its name in the cache)"), std::string::npos) << problems();
}

TEST_F(Checksums, AFlippedBitIsNamedWithBothDigestsAndTheSource) {
  write_bytes(file("SHA256SUMS"), kAbc + "  a.safetensors\n" + kLongDigest + "  b.safetensors\n");
  write_bytes(file("a.safetensors"), "abb");
  const std::string message = problems();
  EXPECT_EQ(message.find(file("a.safetensors").string() + ": damaged or another file: its SHA-256 is "), 0U) << message;
  EXPECT_NE(message.find(", not " + kAbc + " (" + file("SHA256SUMS").string() + ")"), std::string::npos) << message;
  EXPECT_EQ(message.find("b.safetensors:"), std::string::npos) << message;
}

TEST_F(Checksums, MissingUnreadableAndUnlistedFilesAreNamed) {
  write_bytes(file("SHA256SUMS"), kAbc + "  gone.safetensors\n" + kAbc + "  folder\n" + kAbc + "  loop\n" +
                                      kLongDigest + "  b.safetensors\n");
  fs::create_directory(file("folder"));
  fs::create_symlink("loop", file("loop"));
  const std::string message = problems();
  for (const char* part : {"/gone.safetensors: No such file or directory", "/folder: not a regular file",
                           "/loop: Too many levels of symbolic links", "/a.safetensors: no checksum is given"})
    EXPECT_NE(message.find(part), std::string::npos) << part << "\n" << message;
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 3) << message;
}

TEST_F(Checksums, WithoutAnyTheAnswerSaysWhereTheyAreLookedFor) {
  EXPECT_NE(problems().find(copy_.path() + ": no checksums are given: neither SHA256SUMS"), std::string::npos);
}

TEST_F(Checksums, AListThatIsNoneIsRefusedWithItsLine) {
  for (const std::string& line :
       {std::string("hello"), kAbc.substr(1) + "  a.safetensors", kAbc + " a.safetensors", kAbc + "  ",
        "g" + kAbc.substr(1) + "  a.safetensors", std::string("SHA256 (a) = 12")}) {
    write_bytes(file("SHA256SUMS"), "# list\n" + line + "\n");
    EXPECT_EQ(problems(), file("SHA256SUMS").string() + ": line 2 is not one of sha256sum's") << line;
  }
  for (const char* name : {"/etc/passwd", "../other", "x/../../other"}) {
    write_bytes(file("SHA256SUMS"), kAbc + "  " + name + "\n");
    EXPECT_NE(problems().find("is not in the checkpoint's directory"), std::string::npos) << problems();
  }
}

TEST_F(Checksums, AListThatWasWrittenVerifiesUntilAByteChanges) {
  ASSERT_TRUE(write_checksums(copy_.path(), 2).ok());
  EXPECT_EQ(problems(), "");
  EXPECT_GE(given(), 3U);                              // config.json as well
  ASSERT_TRUE(write_checksums(copy_.path(), 2).ok());  // not of itself
  EXPECT_EQ(problems(), "");
  std::string config = testing::read_bytes(file("config.json"));
  config[config.size() / 2] = static_cast<char>(config[config.size() / 2] ^ 1);
  write_bytes(file("config.json"), config);
  EXPECT_NE(problems().find("/config.json: damaged or another file"), std::string::npos) << problems();
}

TEST(DemoModel, IsWhatItsChecksumsSay) {
  const std::string model = SWITCHYARD_TEST_DATA "/../../models/switchyard-r1-small";
  const auto listed = given_checksums(model);
  ASSERT_TRUE(listed.ok()) << listed.error().message;
  for (const std::string name : {"model.safetensors", "config.json", "tokenizer.json"}) {
    EXPECT_TRUE(std::any_of(listed->begin(), listed->end(), [&](const GivenChecksum& given) {
      return given.file == name && !given.sha256.empty();
    })) << name;
  }
  const Status verified = verify_checksums(model, 2, [](const CheckedFile&) {});
  EXPECT_TRUE(verified.ok()) << verified.error().message;
}

class Replaced : public ::testing::Test {
 protected:
  fs::path weights() const { return copy_.file("model.safetensors"); }
  std::string fingerprint() const { return Checkpoint::open(copy_.path())->fingerprint(); }
  // The same header and size, the second half of the bytes another.
  std::string other_bytes() const {
    std::string bytes = testing::read_bytes(weights());
    for (size_t i = bytes.size() / 2; i < bytes.size(); ++i) bytes[i] = static_cast<char>(bytes[i] ^ 1);
    return bytes;
  }

  const CheckpointCopy copy_{"qwen3-moe-tiny"};
};

void set_written(const fs::path& file, timespec time) {
  const timespec times[] = {time, time};
  ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
}

TEST_F(Replaced, AFileThatWasWrittenToIsNamed) {
  set_written(weights(), {1700000000, 0});
  const auto checkpoint = Checkpoint::open(copy_.path());
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_TRUE(checkpoint->check_unchanged().ok());
  const auto message = [&] {
    const Status changed = checkpoint->check_unchanged();
    return changed.ok() ? "" : changed.error().message;
  };
  const auto size = fs::file_size(weights());
  const std::string other = other_bytes();
  std::fstream(weights(), std::ios::in | std::ios::out | std::ios::binary) << other;  // in place
  set_written(weights(), {1700000000, 1000000});
  const std::string begin = weights().string() + ": was changed while it was in use: ";
  EXPECT_EQ(message(), begin + "its size is the same, " + std::to_string(size) +
                           " bytes, but it was written to: at 2023-11-14 22:13:20.001000000 UTC, before that at "
                           "2023-11-14 22:13:20.000000000 UTC");
  fs::resize_file(weights(), size - 1);
  set_written(weights(), {1700000000, 0});
  EXPECT_EQ(message(), begin + fmt::format("it had {} bytes and has {}", size, size - 1));
}

TEST_F(Replaced, AFileThatWasReplacedUnderItsNameStaysAsItIs) {
  const auto checkpoint = Checkpoint::open(copy_.path());
  ASSERT_TRUE(checkpoint.ok());
  write_bytes(copy_.file("new"), other_bytes());
  fs::rename(copy_.file("new"), weights());
  EXPECT_TRUE(checkpoint->check_unchanged().ok());
  EXPECT_NE(fingerprint(), checkpoint->fingerprint());
}

TEST_F(Replaced, TheFingerprintIsThatOfTheFilesNotOfTheirPlaceOrTime) {
  const std::string before = fingerprint();
  EXPECT_EQ(before.size(), 32U);
  const CheckpointCopy elsewhere("qwen3-moe-tiny");
  EXPECT_EQ(Checkpoint::open(elsewhere.path())->fingerprint(), before);
  fs::last_write_time(weights(), fs::last_write_time(weights()) + std::chrono::hours(1));
  EXPECT_EQ(fingerprint(), before);
}

TEST_F(Replaced, AnotherConfigHeaderOrListOfChecksumsIsAnotherFingerprint) {
  std::vector<std::string> seen = {fingerprint()};
  copy_.configure({{"rope_theta", 20000.0}});
  seen.push_back(fingerprint());
  auto tensors = testing::read_raw(weights());
  tensors["model.norm.weight"].type = "F16";
  testing::write_raw(weights(), tensors);
  seen.push_back(fingerprint());
  ASSERT_TRUE(write_checksums(copy_.path(), 1).ok());
  seen.push_back(fingerprint());
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
}

TEST_F(Replaced, APointerOfGitLfsIsCalledOne) {
  // The example of the format's specification.
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\n"
      "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
  for (const char* name : {"model.safetensors", "config.json"}) {
    const CheckpointCopy copy("qwen3-moe-tiny");
    write_bytes(copy.file(name), pointer);
    const auto opened = Checkpoint::open(copy.path());
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().message,
              copy.file(name).string() + ": is a Git LFS pointer, not the file itself: git lfs pull");
  }
}

TEST_F(Replaced, ADirectoryOrALoopOfLinksInPlaceOfWeightsIsNamed) {
  fs::remove(weights());
  fs::create_directory(weights());
  EXPECT_EQ(Checkpoint::open(copy_.path()).error().message, weights().string() + ": not a regular file");
  fs::remove(weights());
  fs::create_symlink("model.safetensors", weights());
  EXPECT_NE(Checkpoint::open(copy_.path()).error().message.find("model.safetensors"), std::string::npos);
}

}  // namespace
}  // namespace switchyard::checkpoint
