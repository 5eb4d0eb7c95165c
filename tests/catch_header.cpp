// Nothing of its own: the owner of the precompiled <catch2/catch.hpp> that every test program shares.
#include <catch2/catch.hpp>
