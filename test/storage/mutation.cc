#include "storage/mutation.h"

#include <cstdlib>

namespace bandb::storage {

namespace {

int NamedMutant() {
  const char* const text = std::getenv("BANDB_STORAGE_MUTANT");
  return text == nullptr ? 0 : std::atoi(text);
}

}  // namespace

int mutation_under_test = NamedMutant();

}  // namespace bandb::storage
