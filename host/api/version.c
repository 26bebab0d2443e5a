#include "cleave/cleave.h"

const char *cleave_version(void) {
    return CLEAVE_VERSION;
}
