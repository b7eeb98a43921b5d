#include "common/engines/embedded/sqlite_database.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace flux::embedded {
namespace {

class SqliteDatabaseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "flux-sqlite-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    options_.file = directory_ + "/test.db";
    options_.busy_timeout = std::chrono::milliseconds{50};
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  SqliteOptions options_;
};

TEST_F(SqliteDatabaseTest, ReadsBackWhatWasBound) {
  auto database = SqliteDatabase::open(options_);
  ASSERT_TRUE(database) << database.error().one_line();
  ASSERT_TRUE((*database)->execute("CREATE TABLE t(i INTEGER, r REAL, s TEXT, b BLOB, n TEXT)"));
  ASSERT_TRUE((*database)->run("INSERT INTO t VALUES(?,?,?,?,?)", std::int64_t{1} << 40, 2.5, "",
                               Blob{std::string_view{"\0x", 2}}, std::optional<std::string>{}));
  auto rows = (*database)->prepare("SELECT i, r, s, b, n FROM t");
  ASSERT_TRUE(rows);
  ASSERT_TRUE(*rows->step());
  EXPECT_EQ(rows->integer(0), std::int64_t{1} << 40);
  EXPECT_EQ(rows->real(1), 2.5);
  EXPECT_FALSE(rows->is_null(2));
  EXPECT_EQ(rows->text(3), std::string("\0x", 2));
  EXPECT_TRUE(rows->is_null(4));
  EXPECT_FALSE(*rows->step());
}

TEST_F(SqliteDatabaseTest, OneStatementMayRunWithinItself) {
  auto database = SqliteDatabase::open(options_);
  ASSERT_TRUE(database);
  ASSERT_TRUE((*database)->execute("CREATE TABLE t(i); INSERT INTO t VALUES(1),(2)"));
  auto outer = (*database)->prepare("SELECT i FROM t ORDER BY i");
  ASSERT_TRUE(*outer->step());
  auto inner = (*database)->prepare("SELECT i FROM t ORDER BY i");
  ASSERT_TRUE(*inner->step());
  ASSERT_TRUE(*outer->step());
  EXPECT_EQ(inner->integer(0), 1);
  EXPECT_EQ(outer->integer(0), 2);
}

TEST_F(SqliteDatabaseTest, RollsBackUnlessCommitted) {
  auto database = SqliteDatabase::open(options_);
  ASSERT_TRUE((*database)->execute("CREATE TABLE t(i)"));
  {
    auto transaction = SqliteTransaction::begin(**database);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE((*database)->run("INSERT INTO t VALUES(1)"));
  }
  auto rows = (*database)->prepare("SELECT count(*) FROM t");
  ASSERT_TRUE(*rows->step());
  EXPECT_EQ(rows->integer(0), 0);
}

TEST_F(SqliteDatabaseTest, NamesTheCauseAndTheFile) {
  auto database = SqliteDatabase::open(options_);
  ASSERT_TRUE((*database)->execute("CREATE TABLE t(i UNIQUE); INSERT INTO t VALUES(1)"));
  EXPECT_EQ((*database)->run("INSERT INTO t VALUES(1)").error().code, Errc::conflict);

  auto other = SqliteDatabase::open(options_);
  auto held = SqliteTransaction::begin(**database);
  ASSERT_TRUE(held);
  const auto busy = SqliteTransaction::begin(**other).error();
  EXPECT_EQ(busy.code, Errc::timed_out);
  EXPECT_TRUE(busy.retryable);
  EXPECT_NE(busy.message.find(options_.file), std::string::npos) << busy.message;
  held->rollback();

  ASSERT_TRUE((*database)->execute("PRAGMA max_page_count=8"));
  const auto full = (*database)->run("INSERT INTO t VALUES(zeroblob(1000000))").error();
  EXPECT_EQ(full.code, Errc::exhausted) << full.message;

  options_.file = directory_ + "/text.db";
  std::ofstream(options_.file) << std::string(8192, 'x');
  EXPECT_EQ(SqliteDatabase::open(options_).error().code, Errc::corrupted);
  options_.file = directory_ + "/absent/x.db";
  EXPECT_EQ(SqliteDatabase::open(options_).error().code, Errc::unavailable);
}

}  // namespace
}  // namespace flux::embedded
