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
    const size_t depth = cleave_session_depth(io->session);
    *flight = (cli_flight){
        .io = io,
        .depth = depth,
        .requests = calloc(depth, sizeof(cleave_request *)),
        .outputs = calloc(depth, sizeof *flight->outputs),
        .start_ms = calloc(depth, sizeof *flight->start_ms),
    };
    if (flight->requests == NULL || flight->outputs == NULL || flight->start_ms == NULL) {
        return cli_error(6, "out of host memory for requests");
    }
    flight->outputs[0] = io->outputs;
    for (size_t i = 1; i < depth; i++) {
        int code = copy_outputs(io, &flight->outputs[i]);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

void cli_flight_close(cli_flight *flight) {
    while (flight->num_ended < flight->num_begun) {
        cleave_request **request = &flight->requests[flight->num_ended++ % flight->depth];
        if (*request != NULL) {
            cleave_status_destroy(cleave_request_wait(*request));
        }
    }
    for (size_t i = 1; flight->outputs != NULL && i < flight->depth; i++) {
        for (size_t k = 0; flight->outputs[i] != NULL && k < flight->io->num_outputs; k++) {
            cleave_tensor_destroy(&flight->outputs[i][k].tensor);
        }
        free(flight->outputs[i]);
    }
    free(flight->requests);
    free(flight->outputs);
    free(flight->start_ms);
    *flight = (cli_flight){.depth = 0};
}

bool cli_flight_is_full(const cli_flight *flight) {
    return flight->num_begun - flight->num_ended == flight->depth;
}

int cli_flight_begin(cli_flight *flight) {
    const cli_io *io = flight->io;
    const size_t slot = flight->num_begun % flight->depth;
    flight->start_ms[slot] = cli_now_ms();
    flight->requests[slot] = NULL;
    int code;
    if (flight->depth == 1) { /* this thread then does the work of the first lane */
        code = cli_fail(cleave_session_run(
            io->session, io->inputs, io->num_inputs, io->outputs, io->num_outputs));
        flight->latency_ms = cli_now_ms() - flight->start_ms[slot];
    } else {
        code = cli_fail(cleave_session_submit(
            io->session, io->inputs, io->num_inputs, flight->outputs[slot], io->num_outputs,
            &flight->requests[slot]));
    }
    flight->num_begun += code == 0 ? 1 : 0;
    return code;
}

int cli_flight_end(cli_flight *flight, double *out_latency_ms) {
    const size_t slot = flight->num_ended++ % flight->depth;
    if (flight->requests[slot] == NULL) {
        *out_latency_ms = flight->latency_ms;
        return 0;
    }
    int code = cli_fail(cleave_request_wait(flight->requests[slot]));
    flight->requests[slot] = NULL;
    *out_latency_ms = cli_now_ms() - flight->start_ms[slot];
    return code;
}

int cli_flight_run(cli_io *io, long requests) {
    cli_flight flight;
    double ignored;
    int code = cli_flight_open(io, &flight);
    for (long i = 0; code == 0 && i < requests; i++) {
        code = cli_flight_is_full(&flight) ? cli_flight_end(&flight, &ignored) : 0;
        code = code == 0 ? cli_flight_begin(&flight) : code;
    }
    while (code == 0 && flight.num_ended < flight.num_begun) {
        code = cli_flight_end(&flight, &ignored);
    }
    const size_t last = code == 0 ? (flight.num_begun - 1) % flight.depth : 0;
    for (size_t k = 0; last != 0 && k < io->num_outputs; k++) {
        const cleave_tensor *from = &flight.outputs[last][k].tensor;
        memcpy(io->outputs[k].tensor.data, from->data, cleave_tensor_bytes(from));
    }
    cli_flight_close(&flight);
    return code;
}
