// Threads that compute together. One pool serves the whole process.
#pragma once
#include "interface.h"

typedef void (*Work)(void* context, Team team);

// Runs the work on this thread and on idle ones of the pool, `threads` of them together at most. It never waits for a
// thread that computes for somebody else: several callers share what there is.
void run_together(int threads, Work work, void* context);
