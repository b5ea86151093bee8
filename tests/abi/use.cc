/* use.cc: the same program as C++11. */
#include "use.c"
