"""The contract of features, as tests: subclass FeaturesContract in your own test file and run pytest."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import ClassVar

import pytest
import torch

from al_loop.features.base import Features


class FeaturesContract:
    """Base class for the tests of one kind of features.

    Subclass it under a name that starts with ``Test``, implement ``make`` and fill ``objects``::

        class TestMyFeatures(FeaturesContract):
            objects = ("CCO", "c1ccccc1")
            invalid = ("not a molecule",)

            def make(self) -> Features:
                return MyFeatures()
    """

    #: three or more objects with different features
    objects: ClassVar[Sequence[str]] = ()
    #: objects that cannot be described
    invalid: ClassVar[Sequence[str]] = ()

    def make(self) -> Features:
        """Return new features, built from the same arguments each time."""
        raise NotImplementedError(f"{type(self).__name__} must implement make()")

    def test_rows_are_finite_float64_vectors(self) -> None:
        features = self.make()
        X = features(self.objects)
        assert X.shape == (len(self.objects), features.d)
        assert X.dtype == torch.float64
        assert X.isfinite().all()
        assert len(torch.unique(X, dim=0)) == len(self.objects)
        assert features([]).shape == (0, features.d)

    def test_an_object_has_the_same_row_again_and_in_any_company(self) -> None:
        features = self.make()
        X = features(self.objects)
        assert torch.equal(features([self.objects[1], self.objects[0], self.objects[1]]), X[[1, 0, 1]])
        assert torch.equal(self.make()(self.objects[:1]), X[:1])

    def test_similarity_is_symmetric_and_1_for_equal_objects(self) -> None:
        features = self.make()
        X = features(self.objects)
        similarity = features.similarity(X, X)
        assert similarity.shape == (len(X), len(X))
        assert ((similarity >= -1e-9) & (similarity <= 1 + 1e-9)).all()
        assert torch.allclose(similarity, similarity.T)
        assert torch.allclose(similarity.diagonal(), torch.ones(len(X)).to(similarity))
        assert features.similarity(X[:0], X).shape == (0, len(X))

    def test_the_kernel_is_positive_semi_definite_on_the_rows(self) -> None:
        from al_loop.surrogates.kernels.expression import kernel_of

        features = self.make()
        X = features(self.objects)
        matrix = kernel_of(features.kernel).trained(X)(X, X)
        assert torch.allclose(matrix.diagonal(), torch.ones(len(X)).double())
        assert torch.linalg.eigvalsh((matrix + matrix.T) / 2).min() > -1e-8

    def test_a_layout_describes_the_whole_row(self) -> None:
        features = self.make()
        assert features.layout is None or features.layout.d == features.d

    def test_features_survive_pickling(self) -> None:
        features = self.make()
        X = features(self.objects)
        assert torch.equal(pickle.loads(pickle.dumps(features))(self.objects), X)

    def test_objects_that_cannot_be_described_are_refused(self) -> None:
        features = self.make()
        for item in self.invalid:
            with pytest.raises(ValueError, match=r"."):
                features([item])
