#include "cleave/cleave.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("cleave %s\n", cleave_version());
        return 0;
    }
    fprintf(stderr, "cleave: error: unknown command\n");
    return 2;
}
