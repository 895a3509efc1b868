// Runs one function per utterance on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace asr {

// Calls make_worker() once per thread and the worker with every index 0..count-1 once. num_threads
// 0 means one per processor. Rethrows the exception of the lowest index that failed, so that the
// message does not depend on timing.
template <class MakeWorker>
void for_each_utterance(std::int64_t count, int num_threads, const MakeWorker& make_worker) {
    std::atomic<std::int64_t> next{0};
    std::mutex mutex;
    std::int64_t failed = count;
    std::exception_ptr error;
    const auto run = [&] {
        auto worker = make_worker();
        for (std::int64_t i = next++; i < count; i = next++) {
            try {
                worker(i);
            } catch (...) {
                const std::lock_guard<std::mutex> lock(mutex);
                if (i < failed) {
                    failed = i;
                    error = std::current_exception();
                }
            }
        }
    };
    if (num_threads == 0) {
        num_threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    }
    std::vector<std::thread> threads;
    for (std::int64_t k = 1; k < std::min<std::int64_t>(num_threads, count); ++k) {
        threads.emplace_back(run);
    }
    run();
    for (auto& thread : threads) thread.join();
    if (error) std::rethrow_exception(error);
}

}  // namespace asr
