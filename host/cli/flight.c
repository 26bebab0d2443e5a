/* Several requests of a session in flight at once. */
#include "host/cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

double cli_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* Room for the outputs of one more request. */
static int copy_outputs(const cli_io *io, cleave_binding **out_outputs) {
    cleave_binding *outputs = calloc(io->num_outputs + 1, sizeof *outputs);
    *out_outputs = outputs;
    if (outputs == NULL) {
        return cli_error(6, "out of host memory for outputs");
    }
    for (size_t i = 0; i < io->num_outputs; i++) {
        const cleave_tensor *tensor = &io->outputs[i].tensor;
        outputs[i].name = io->outputs[i].name;
        int code = cli_fail(
            cleave_tensor_create(tensor->dtype, tensor->rank, tensor->dims, &outputs[i].tensor));
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

int cli_flight_open(cli_io *io, cli_flight *flight) {
    enum { SLOTS_A_REQUEST = 4 };
    const size_t depth = cleave_session_depth(io->session);
    const size_t count = depth > 1 ? SLOTS_A_REQUEST * depth : 1;
    *flight = (cli_flight){
        .io = io,
        .num_slots = count,
        .requests = calloc(count, sizeof(cleave_request *)),
        .outputs = calloc(count, sizeof *flight->outputs),
        .start_ms = calloc(count, sizeof *flight->start_ms),
        .end_ms = calloc(count, sizeof *flight->end_ms),
    };
    if (flight->requests == NULL || flight->outputs == NULL || flight->start_ms == NULL ||
        flight->end_ms == NULL) {
        return cli_error(6, "out of host memory for requests");
    }
    flight->outputs[0] = io->outputs;
    for (size_t i = 1; i < count; i++) {
        int code = copy_outputs(io, &flight->outputs[i]);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

void cli_flight_close(cli_flight *flight) {
    while (flight->num_ended < flight->num_begun) {
        cleave_request **request = &flight->requests[flight->num_ended++ % flight->num_slots];
        if (*request != NULL) {
            cleave_status_destroy(cleave_request_wait(*request));
        }
    }
    for (size_t i = 1; flight->outputs != NULL && i < flight->num_slots; i++) {
        for (size_t k = 0; flight->outputs[i] != NULL && k < flight->io->num_outputs; k++) {
            cleave_tensor_destroy(&flight->outputs[i][k].tensor);
        }
        free(flight->outputs[i]);
    }
    free(flight->requests);
    free(flight->outputs);
    free(flight->start_ms);
    free(flight->end_ms);
    *flight = (cli_flight){.num_slots = 0};
}

bool cli_flight_is_full(const cli_flight *flight) {
    return flight->num_begun - flight->num_ended == flight->num_slots;
}

/* Who has ended by now. */
static void note_ends(cli_flight *flight) {
    const double now_ms = cli_now_ms();
    for (size_t i = flight->num_ended; i < flight->num_begun; i++) {
        const size_t slot = i % flight->num_slots;
        if (flight->end_ms[slot] == 0 && cleave_request_is_done(flight->requests[slot])) {
            flight->end_ms[slot] = now_ms;
        }
    }
}

int cli_flight_begin(cli_flight *flight) {
    const cli_io *io = flight->io;
    const size_t slot = flight->num_begun % flight->num_slots;
    flight->start_ms[slot] = cli_now_ms();
    flight->end_ms[slot] = 0;
    flight->requests[slot] = NULL;
    int code;
    if (flight->num_slots == 1) { /* this thread then does the work of the first lane */
        code = cli_fail(cleave_session_run(
            io->session, io->inputs, io->num_inputs, io->outputs, io->num_outputs));
        flight->end_ms[slot] = cli_now_ms();
    } else {
        code = cli_fail(cleave_session_submit(
            io->session, io->inputs, io->num_inputs, flight->outputs[slot], io->num_outputs,
            &flight->requests[slot]));
        note_ends(flight);
        flight->start_ms[slot] = cli_now_ms(); /* before, it may have waited for another's end */
    }
    flight->num_begun += code == 0 ? 1 : 0;
    return code;
}

int cli_flight_end(cli_flight *flight, double *out_start_ms, double *out_end_ms) {
    const size_t slot = flight->num_ended++ % flight->num_slots;
    int code = 0;
    if (flight->requests[slot] != NULL) {
        code = cli_fail(cleave_request_wait(flight->requests[slot]));
        flight->requests[slot] = NULL;
        note_ends(flight);
    }
    *out_start_ms = flight->start_ms[slot];
    *out_end_ms = flight->end_ms[slot] != 0 ? flight->end_ms[slot] : cli_now_ms();
    return code;
}

int cli_flight_run(cli_io *io, long requests) {
    cli_flight flight;
    double start_ms, end_ms;
    int code = cli_flight_open(io, &flight);
    for (long i = 0; code == 0 && i < requests; i++) {
        code = cli_flight_is_full(&flight) ? cli_flight_end(&flight, &start_ms, &end_ms) : 0;
        code = code == 0 ? cli_flight_begin(&flight) : code;
    }
    while (code == 0 && flight.num_ended < flight.num_begun) {
        code = cli_flight_end(&flight, &start_ms, &end_ms);
    }
    const size_t last = code == 0 ? (flight.num_begun - 1) % flight.num_slots : 0;
    for (size_t k = 0; last != 0 && k < io->num_outputs; k++) {
        const cleave_tensor *from = &flight.outputs[last][k].tensor;
        memcpy(io->outputs[k].tensor.data, from->data, cleave_tensor_bytes(from));
    }
    cli_flight_close(&flight);
    return code;
}
