/* Ten lines against the installed library. */
#include <cleave/cleave.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    printf("cleave %s\n", cleave_version());
    return argc == 2 && strcmp(argv[1], cleave_version()) == 0 ? 0 : 1;
}
