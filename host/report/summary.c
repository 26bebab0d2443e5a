/* Runs of more spans than a picture keeps one by one: some windows of them, and how busy each row
 * was in bins of time. */
#include "host/report/picture.h"

#include <math.h>

void clv_picture_choose_windows(
    const clv_picture_layer *layer, uint64_t most, clv_picture_window *out_windows) {
    const clv_run *run = layer->run;
    const uint64_t count = run->num_steps;
    uint64_t keep = most / CLV_PICTURE_WINDOWS;
    if (keep > count / CLV_PICTURE_WINDOWS) {
        keep = count / CLV_PICTURE_WINDOWS;
    }
    const uint64_t first[CLV_PICTURE_WINDOWS] = {0, count / 2 - keep / 2, count - keep};
    for (int i = 0; i < CLV_PICTURE_WINDOWS; i++) {
        const bool is_last = i + 1 == CLV_PICTURE_WINDOWS;
        out_windows[i] = (clv_picture_window){0, 0};
        if (keep > 0) {
            out_windows[i] = (clv_picture_window){
                .begin_us = run->start_us[run->started[first[i]]],
                .end_us =
                    is_last ? run->makespan_us : run->start_us[run->started[first[i] + keep - 1]]};
        }
    }
}

bool clv_picture_is_in_window(const clv_picture_window *windows, const clv_span *span) {
    for (int i = 0; i < CLV_PICTURE_WINDOWS; i++) {
        if (span->end_us > windows[i].begin_us && span->start_us < windows[i].end_us) {
            return true;
        }
    }
    return false;
}

void clv_picture_cover(
    const clv_picture_layer *layer, const clv_timeline_row *row, double bin_us, uint32_t num_bins,
    double *covered) {
    if (!(bin_us > 0)) {
        return; /* a run of no time */
    }
    for (uint64_t i = row->first_span; i < row->first_span + row->num_spans; i++) {
        const clv_span *span = &layer->timeline->spans[i];
        for (uint32_t b = (uint32_t)(span->start_us / bin_us);
             b < num_bins && b * bin_us < span->end_us; b++) {
            double part = fmin(span->end_us, (b + 1) * bin_us) - fmax(span->start_us, b * bin_us);
            covered[b] += part / bin_us;
            covered[num_bins + b] += layer->is_critical[span->step] ? part / bin_us : 0;
        }
    }
}
