// The translation unit that the precompiled Catch2 header is built for; the test programs reuse it.
#include "support/catch.h"
