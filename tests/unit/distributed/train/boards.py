"""A board in this process."""

from __future__ import annotations

from videomac.distributed.train.board import Board, BoardClient


class LocalBoard(BoardClient):
    """Keeps what workers post, without an actor."""

    def __init__(self) -> None:
        self.board, self.posts, self.working = Board(), [], []

    def post(self, figures) -> None:
        self.posts.append(figures)
        self.board.post(figures)

    def pulse(self, working) -> None:
        self.working.append(working)

    def read(self, timeout_s=None):
        return self.board.read()
