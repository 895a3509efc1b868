// Runs one function per utterance on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace asr {

// The exception of the lowest index that failed, so that the message does not depend on timing.
class FirstFailure {
  public:
    // To be called while the exception is handled.
    void note(std::int64_t index) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (error_ && index >= index_) return;
        index_ = index;
        error_ = std::current_exception();
    }
    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

  private:
    std::mutex mutex_;
    std::int64_t index_ = 0;
    std::exception_ptr error_;
};

// As many threads as can be had; all have ended when this goes.
class Threads {
  public:
    Threads() = default;
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;
    ~Threads() { join(); }

    // Starts up to `count` threads: fewer where the system has no more to give.
    template <class Run>
    void start(std::int64_t count, const Run& run) {
        try {
            threads_.reserve(static_cast<std::size_t>(std::max<std::int64_t>(0, count)));
            for (std::int64_t k = 0; k < count; ++k) threads_.emplace_back(run);
        } catch (const std::system_error&) {
        } catch (const std::bad_alloc&) {
        }
    }
    void join() {
        for (auto& thread : threads_) thread.join();
        threads_.clear();
    }

  private:
    std::vector<std::thread> threads_;
};

// Calls make_worker() once per thread and the worker with every index 0..count-1 once. num_threads
// 0 means one per processor. Rethrows what a worker or its making threw; of several the exception
// of the lowest index.
template <class MakeWorker>
void for_each_utterance(std::int64_t count, int num_threads, const MakeWorker& make_worker) {
    std::atomic<std::int64_t> next{0};
    FirstFailure failure;
    const auto run = [&] {
        try {
            auto worker = make_worker();
            for (std::int64_t i = next++; i < count; i = next++) {
                try {
                    worker(i);
                } catch (...) {
                    failure.note(i);
                }
            }
        } catch (...) {
            failure.note(count);
        }
    };
    if (num_threads == 0) {
        num_threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    }
    Threads threads;
    threads.start(std::min<std::int64_t>(num_threads, count) - 1, run);
    run();
    threads.join();
    failure.rethrow();
}

}  // namespace asr
