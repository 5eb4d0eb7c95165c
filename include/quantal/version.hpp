// The version of the headers. The library's own is quantal_version() in the C interface; CMake checks that all agree.
#pragma once

#define QUANTAL_VERSION_TEXT "0.1.0"
