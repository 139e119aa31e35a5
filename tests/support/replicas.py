"""Replicas of a learner in threads, which start at once."""

import pickle
import queue
import threading

from al_loop.gflownet.replicas import Replica, Replicas, ReplicaWorker


class ThreadReplicas(Replicas):
    """Replicas in threads of this process."""

    def launch(self, rank, setup):
        return _ThreadReplica(rank, pickle.loads(pickle.dumps(setup)))


class _ThreadReplica(Replica):
    def __init__(self, rank, setup):
        self._commands, self._results = queue.Queue(), queue.Queue()
        threading.Thread(target=self._serve, args=(rank, setup), daemon=True).start()

    def _serve(self, rank, setup):
        try:
            self.worker = ReplicaWorker(rank, setup)
            self._results.put((None, None))
            while (command := self._commands.get()) is not None:
                self._results.put((pickle.loads(command)(self.worker), None))
        except Exception as error:
            self._results.put((None, error))

    def begin(self, command):
        self._commands.put(pickle.dumps(command))

    def result(self, timeout_s=None):
        value, error = self._results.get(timeout=timeout_s)
        if error is not None:
            raise error
        return value

    def close(self):
        self._commands.put(None)
