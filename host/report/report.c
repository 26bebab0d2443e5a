#include "host/report/report.h"

#include <string.h>

typedef struct picture_kind {
    const char *suffix;
    clv_status *(*make)(const clv_report *report, char **out_text);
} picture_kind;

static const picture_kind kinds[] = {
    {".html", clv_report_html},
    {".svg", clv_report_svg},
    {".txt", clv_report_gantt},
};

clv_status *clv_report_picture(const clv_report *report, const char *path, char **out_text) {
    size_t length = strlen(path);
    *out_text = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t suffix = strlen(kinds[i].suffix);
        if (length >= suffix && strcmp(path + length - suffix, kinds[i].suffix) == 0) {
            return kinds[i].make(report, out_text);
        }
    }
    return CLV_ERROR(USAGE, "'%s': the name of a timeline must end in .html, .svg or .txt", path);
}
