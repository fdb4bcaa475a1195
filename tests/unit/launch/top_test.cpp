// Goal: `switchyard top` shows what /cluster says, and survives fields that are not there.
#include "launch/top.h"

#include <gtest/gtest.h>

namespace switchyard::launch {
namespace {

TEST(Top, RanksFrontendsAndRatesAreShown) {
  TopTotals totals{100, 40};
  const auto text = render_cluster(
      R"({"name":"alpha","model":"m","epoch":7,"ranks":[{"rank_id":6,"group":3,"pid":12,"host":"h","state":"live","device":"cpu","backend":"cpu-plain",
          "sequences":3,"waiting":4,"kv_usage":0.255,"weight_bytes":1048576,"prompt_tokens":150,"generation_tokens":60}],
          "frontends":[{"pid":9,"host":"f","port":8000,"requests":5,"connections":6}],"coordinator":{"pid":1}})",
      2.0, totals);
  ASSERT_TRUE(text.ok());
  EXPECT_NE(text->find("alpha  m  epoch 7  1 ranks  1 frontends"), std::string::npos) << *text;
  EXPECT_NE(text->find("prompt 25.0 tok/s  generation 10.0 tok/s"), std::string::npos) << *text;
  EXPECT_NE(text->find("\n   6     3       12 h "), std::string::npos) << *text;  // rank, group, pid
  EXPECT_NE(text->find("cpu/cpu-plain"), std::string::npos);
  EXPECT_NE(text->find("25.5"), std::string::npos);
  EXPECT_NE(text->find("f:8000"), std::string::npos);
  EXPECT_EQ(totals.prompt_tokens, 150);
}

TEST(Top, AnAnswerOfAnotherShapeIsNoCrash) {
  TopTotals totals;
  EXPECT_FALSE(render_cluster("[]", 1, totals).ok());
  EXPECT_FALSE(render_cluster("{", 1, totals).ok());
  EXPECT_TRUE(render_cluster(R"({"ranks":[1,{"pid":"x"}],"frontends":{}})", 1, totals).ok());
}

}  // namespace
}  // namespace switchyard::launch
