#include <CLI/CLI.hpp>
#include <cstdio>

int main(int argc, char** argv) {
  CLI::App app("Switchyard: a serving cluster for mixture-of-experts language models", "switchyard");
  app.require_subcommand(1);
  app.add_subcommand("version", "print the version")->callback([] { std::puts("switchyard " SWITCHYARD_VERSION); });
  CLI11_PARSE(app, argc, argv);
  return 0;
}
