"""Workers in threads of the test's process, which count what they do."""

from concurrent.futures import ThreadPoolExecutor

from al_loop.gflownet.parallel_scoring import Workers, run_task


class CountingWorkers(Workers):
    """Workers that count the states they decode and the objects they prepare."""

    def __init__(self, environment, count=2):
        self.count = count
        self._environment = environment
        self._threads = ThreadPoolExecutor(count)
        self.n_decoded = self.n_prepared = self.n_tasks = 0
        self.is_closed = False

    def submit(self, task):
        self.n_tasks += 1
        n = len(task.objects if task.states is None else task.states)
        self.n_decoded += 0 if task.states is None else n
        self.n_prepared += 0 if task.preparation is None else n
        return self._threads.submit(run_task, self._environment, task)

    def close(self):
        self.is_closed = True
        self._threads.shutdown()
