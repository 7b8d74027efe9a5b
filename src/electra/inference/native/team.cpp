#include "team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <atomic>

struct Barrier {
    std::atomic<int> waiting{0};
    std::atomic<int> generation{0};
};

namespace {

struct Job {
    Work work;
    void* context;
    int size;
    int running;  // helpers that are not done
    Barrier barrier;
    pthread_cond_t done;
};

struct Helper {
    pthread_cond_t wake;
    Job* job;
    int rank;
    Helper* next;  // in the list of idle helpers
};

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
Helper* idle = nullptr;
int helpers = 0;
bool watches_forks = false;

void* help(void* argument) {
    Helper* self = (Helper*)argument;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!self->job) pthread_cond_wait(&self->wake, &lock);
        Job* job = self->job;
        pthread_mutex_unlock(&lock);
        job->work(job->context, Team{self->rank, job->size, &job->barrier});
        pthread_mutex_lock(&lock);
        self->job = nullptr;
        self->next = idle;
        idle = self;
        if (--job->running == 0) pthread_cond_signal(&job->done);
    }
    return nullptr;
}

// A forked process has none of its parent's helpers.
void forget_helpers() {
    pthread_mutex_init(&lock, nullptr);
    idle = nullptr;
    helpers = 0;
}
void take_lock() { pthread_mutex_lock(&lock); }
void give_lock() { pthread_mutex_unlock(&lock); }

// A new helper, idle; null where the system gives no thread. The lock is held.
Helper* start_helper() {
    Helper* helper = new Helper{};
    pthread_cond_init(&helper->wake, nullptr);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);  // signals are for the program's own threads
    pthread_t thread;
    int failed = pthread_create(&thread, nullptr, help, helper);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (failed) {
        delete helper;
        return nullptr;
    }
    pthread_detach(thread);
    helpers++;
    return helper;
}

void pause_briefly() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace

void run_together(int threads, Work work, void* context) {
    Job job{work, context, 1, 0, {}, {}};
    Helper* chosen = nullptr;
    if (threads > 1) {
        pthread_cond_init(&job.done, nullptr);
        pthread_mutex_lock(&lock);
        if (!watches_forks) {
            pthread_atfork(take_lock, give_lock, forget_helpers);
            watches_forks = true;
        }
        while (job.size < threads) {
            Helper* helper = idle;
            if (helper)
                idle = helper->next;
            else if (helpers < threads - 1)
                helper = start_helper();
            if (!helper) break;
            helper->rank = job.size++;
            helper->next = chosen;
            chosen = helper;
        }
        job.running = job.size - 1;
        while (chosen) {
            Helper* next = chosen->next;
            chosen->job = &job;
            pthread_cond_signal(&chosen->wake);
            chosen = next;
        }
        pthread_mutex_unlock(&lock);
    }
    work(context, Team{0, job.size, &job.barrier});
    if (threads > 1) {
        pthread_mutex_lock(&lock);
        while (job.running) pthread_cond_wait(&job.done, &lock);
        pthread_mutex_unlock(&lock);
        pthread_cond_destroy(&job.done);
    }
}

void wait_for_team(const Team& team) {
    Barrier& barrier = *team.barrier;
    int generation = barrier.generation.load(std::memory_order_relaxed);
    if (barrier.waiting.fetch_add(1, std::memory_order_acq_rel) == team.size - 1) {
        barrier.waiting.store(0, std::memory_order_relaxed);
        barrier.generation.store(generation + 1, std::memory_order_release);
        return;
    }
    for (int turns = 0; barrier.generation.load(std::memory_order_acquire) == generation; turns++) {
        pause_briefly();
        if (turns % 64 == 63) sched_yield();  // whom it waits for may need this processor
    }
}
