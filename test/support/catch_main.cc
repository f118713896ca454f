// The one translation unit of the test programs that holds Catch2's own code, and what TSan must
// know of all of them.
#ifdef __SANITIZE_THREAD__
// Distributions ship Abseil without TSan instrumentation: the shared library counts the references
// of a status down where TSan does not see it, so that the last owner's delete looks like a race
// with every earlier reader of a copy.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:Status::Unref\n"; }
#endif

#ifdef BANDB_CATCH2_V3
#include <catch2/catch_session.hpp>
int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
#else
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
