"""Every metric equals scikit-learn's, for every task, and the wrong name gets a useful sentence."""

import contextlib
import re

import numpy as np
import pytest
import sklearn.metrics

from mlops.judgement.metric import Metric, defaults, encode, proper, resolve
from mlops.project.errors import MlopsError

WORDS = ["late", "early", "on time"]  # not sorted: the order is the model's, not the alphabet's
EXACT = {"rel": 0, "abs": 1e-12}


@pytest.fixture(scope="module")
def binary():
    """400 rows with tied probabilities, some of them 0 and 1 (also where that is wrong)."""
    rng = np.random.default_rng(1)
    probability = rng.integers(0, 21, 400) / 20
    return (rng.random(400) < probability).astype(int) ^ (rng.random(400) < 0.1), probability


@pytest.fixture(scope="module")
def multiclass():
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 3, 400)
    probability = rng.dirichlet([0.3, 0.3, 0.3], 400) * 0.7 + 0.3 * np.eye(3)[codes]
    probability[:20] = np.eye(3)[rng.integers(0, 3, 20)]
    return codes, probability


@pytest.fixture(scope="module")
def regression():
    rng = np.random.default_rng(3)
    y = rng.gamma(2, 10, 400)
    return y, y * rng.uniform(0.5, 1.5, 400)


LABELLED = [
    ("accuracy", sklearn.metrics.accuracy_score, {}),
    ("balanced_accuracy", sklearn.metrics.balanced_accuracy_score, {}),
    ("f1_macro", sklearn.metrics.f1_score, {"average": "macro"}),
    ("recall_weighted", sklearn.metrics.recall_score, {"average": "weighted"}),
    ("matthews_corrcoef", sklearn.metrics.matthews_corrcoef, {}),
    ("cohen_kappa_score", sklearn.metrics.cohen_kappa_score, {}),
    ("hamming_loss", sklearn.metrics.hamming_loss, {}),
    ("zero_one_loss", sklearn.metrics.zero_one_loss, {}),
]


@pytest.mark.parametrize("classes", [[0, 1], [1, 0], ["no", "yes"], ["yes", "no"], [-3, 7]])
@pytest.mark.parametrize(
    ("name", "function", "arguments"),
    [
        ("roc_auc", sklearn.metrics.roc_auc_score, {}),
        ("average_precision", sklearn.metrics.average_precision_score, {}),
        ("log_loss", sklearn.metrics.log_loss, {}),
        ("brier_score", sklearn.metrics.brier_score_loss, {}),
        ("d2_log_loss_score", sklearn.metrics.d2_log_loss_score, {}),
    ],
)
def test_binary_probabilities(binary, name, function, arguments, classes):
    codes, probability = binary
    y = np.array(classes, dtype=object)[codes]
    assert resolve(name, "binary")(y, probability, classes) == pytest.approx(
        function(codes, probability, **arguments), **EXACT
    )


@pytest.mark.parametrize(
    ("name", "function", "arguments"),
    [
        *LABELLED,
        ("f1", sklearn.metrics.f1_score, {}),
        ("precision_score", sklearn.metrics.precision_score, {}),
        ("jaccard", sklearn.metrics.jaccard_score, {}),
    ],
)
def test_binary_labels_are_cut_at_a_half_and_the_second_class_is_positive(
    binary, name, function, arguments
):
    codes, probability = binary
    y = np.array(["yes", "no"])[codes]
    expected = function(codes, (probability > 0.5).astype(int), **arguments)
    assert resolve(name, "binary")(y, probability, ["yes", "no"]) == pytest.approx(
        expected, **EXACT
    )


@pytest.mark.parametrize(
    ("name", "function", "arguments"),
    [
        ("log_loss", sklearn.metrics.log_loss, {}),
        ("neg_brier_score", sklearn.metrics.brier_score_loss, {}),
        ("roc_auc_ovr", sklearn.metrics.roc_auc_score, {"multi_class": "ovr"}),
        ("roc_auc_ovo", sklearn.metrics.roc_auc_score, {"multi_class": "ovo"}),
        ("top_k_accuracy", sklearn.metrics.top_k_accuracy_score, {}),
    ],
)  # fmt: skip
def test_multiclass_probabilities_are_in_the_order_of_the_classes(
    multiclass, name, function, arguments
):
    codes, probability = multiclass
    expected = function(codes, probability, **arguments)
    y = np.array(WORDS, dtype=object)[codes]
    assert resolve(name, "multiclass")(y, probability, WORDS) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize(("name", "function", "arguments"), LABELLED)
def test_multiclass_labels_are_the_likeliest_class(multiclass, name, function, arguments):
    codes, probability = multiclass
    y, likeliest = np.array(WORDS)[codes], np.array(WORDS)[probability.argmax(axis=1)]
    expected = function(y, likeliest, **arguments)
    assert resolve(name, "multiclass")(y, probability, WORDS) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize(
    "name",
    [
        "r2_score",
        "explained_variance_score",
        "max_error",
        "mean_absolute_error",
        "mean_squared_error",
        "root_mean_squared_error",
        "mean_absolute_percentage_error",
        "median_absolute_error",
        "mean_squared_log_error",
        "mean_pinball_loss",
        "mean_gamma_deviance",
    ],
)
def test_regression(regression, name):
    y, prediction = regression
    expected = getattr(sklearn.metrics, name)(y, prediction)
    assert resolve(name, "regression")(y, prediction, None) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("binary", "log_loss"),
        ("binary", "brier_score"),
        ("binary", "accuracy"),
        ("binary", "zero_one_loss"),
        ("binary", "hamming_loss"),
        ("multiclass", "log_loss"),
        ("multiclass", "brier_score"),
        ("multiclass", "accuracy"),
        ("regression", "mean_absolute_error"),
        ("regression", "mean_squared_error"),
        ("regression", "root_mean_squared_error"),
        ("regression", "mean_absolute_percentage_error"),
    ],
)
def test_the_mean_of_the_rows_is_the_metric(request, task, name):
    y, prediction = request.getfixturevalue(task)
    classes = None if task == "regression" else range(y.max() + 1)
    metric = resolve(name, task)
    rows = metric.rows(y, prediction, classes)
    assert metric.kind == "mean"
    assert rows.shape == (400,)
    assert rows.dtype == np.float64
    assert metric.finish(rows.mean()) == pytest.approx(metric(y, prediction, classes), **EXACT)


def test_brier_score_of_a_two_class_multiclass_model_is_halved_as_in_scikit_learn(binary):
    y, positive = binary
    probability = np.column_stack([1 - positive, positive])
    metric = resolve("brier_score", "multiclass")
    assert metric.rows(y, probability, [0, 1]).mean() == pytest.approx(
        sklearn.metrics.brier_score_loss(y, probability), **EXACT
    )


@pytest.mark.parametrize(
    ("given", "name", "greater_is_better"),
    [
        ("roc_auc", "roc_auc", True),
        ("roc_auc_score", "roc_auc", True),
        ("neg_log_loss", "log_loss", False),
        ("log_loss", "log_loss", False),
        ("neg_brier_score", "brier_score", False),
        ("brier_score", "brier_score", False),
        ("brier_score_loss", "brier_score", False),
        ("accuracy_score", "accuracy", True),
        ("f1_score", "f1", True),
        ("cohen_kappa_score", "cohen_kappa_score", True),
        ("hamming_loss", "hamming_loss", False),
        ("positive_likelihood_ratio", "positive_likelihood_ratio", True),
        ("neg_negative_likelihood_ratio", "negative_likelihood_ratio", False),
    ],
)
def test_one_metric_has_one_name(given, name, greater_is_better):
    metric = resolve(given, "binary")
    assert (metric.name, metric.greater_is_better) == (name, greater_is_better)


@pytest.mark.parametrize(
    ("task", "name", "kind"),
    [
        ("binary", "roc_auc", "rank"),
        ("binary", "average_precision", "rank"),
        ("multiclass", "average_precision", "general"),
        ("multiclass", "roc_auc_ovr", "general"),
        ("binary", "f1", "general"),
        ("regression", "r2", "general"),
    ],
)
def test_kind(task, name, kind):
    assert resolve(name, task).kind == kind


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_defaults_and_proper_metrics_fit_their_task(task):
    for name in (*defaults(task), proper(task)):
        assert resolve(name, task).name == name


def names_that_fit(task):
    for name in {*sklearn.metrics.get_scorer_names(), *sklearn.metrics.__all__}:
        with contextlib.suppress(MlopsError):  # anything else would be a crash
            yield resolve(name, task).name


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_everything_in_scikit_learn_either_judges_the_task_or_is_refused(task, monkeypatch):
    monkeypatch.setattr(
        "mlops.judgement.metric._fitting", lambda task: []
    )  # slow, and only for the hint
    fitting = set(names_that_fit(task))
    numbers = {"r2", "mean_squared_error", "max_error", "mean_poisson_deviance"}
    labels = {"accuracy", "cohen_kappa_score", "f1_macro", "matthews_corrcoef", "log_loss"}
    assert (numbers if task == "regression" else labels) <= fitting
    assert not (labels if task == "regression" else numbers) & fitting
    clusters = {"rand_score", "adjusted_rand_score", "v_measure_score", "fowlkes_mallows_score"}
    assert not (clusters | {"silhouette_score", "roc_curve", "auc", "ndcg_score"}) & fitting


@pytest.mark.parametrize(
    ("name", "task", "sentence"),
    [
        ("roc_acu", "binary", "'roc_acu'; scikit-learn has no such metric; did you mean roc_auc,"),
        ("xyz", "regression", "'xyz'; scikit-learn has no such metric; try mean_absolute_error,"),
        ("f1", "multiclass", "of the task multiclass; did you mean f1_macro, f1_micro, f1_w"),
        ("r2", "binary", "'r2'; it does not judge predictions of the task binary; try roc_auc,"),
        ("roc_auc", "regression", "it does not judge predictions of the task regression; try mean"),
        ("rand_score", "binary", "it does not judge predictions of the task binary; "),
    ],
)
def test_the_error_says_what_to_write_instead_and_where_the_list_is(name, task, sentence):
    with pytest.raises(MlopsError) as caught:
        resolve(name, task)
    message = str(caught.value)
    assert message.startswith(f"params.yaml: gate.metric: got {name!r}; ")
    assert sentence in message
    assert message.endswith("https://scikit-learn.org/stable/modules/model_evaluation.html")
    assert "\n" not in message


def test_the_error_names_the_key_it_is_about():
    with pytest.raises(MlopsError, match=r"^params.yaml: gate.floors: got 'xyz'; "):
        resolve("xyz", "binary", "gate.floors")


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_undefined_for_ranks_and_defined_for_probabilities(label):
    y, probability = np.full(3, label), np.array([0.2, 0.5, 0.9])
    assert np.isnan(resolve("roc_auc", "binary")(y, probability, [0, 1]))
    assert np.isnan(resolve("average_precision", "binary")(y, probability, [0, 1]))
    for name in ("log_loss", "brier_score"):
        metric = resolve(name, "binary")
        rows = metric.rows(y, probability, [0, 1])
        assert metric(y, probability, [0, 1]) == pytest.approx(rows.mean(), **EXACT)


def test_rows_that_lack_a_class_still_have_a_log_loss(multiclass):
    codes, probability = (values[multiclass[0] != 1] for values in multiclass)
    metric = resolve("log_loss", "multiclass")
    expected = sklearn.metrics.log_loss(codes, probability, labels=[0, 1, 2])
    assert metric(codes, probability, [0, 1, 2]) == pytest.approx(expected, **EXACT)
    assert np.isnan(resolve("roc_auc_ovr", "multiclass")(codes, probability, [0, 1, 2]))


def test_what_scikit_learn_refuses_on_these_rows_is_nan():
    metric = resolve("mean_squared_log_error", "regression")
    assert np.isnan(metric(np.array([-5.0, 1.0]), np.array([1.0, 1.0]), None))


def test_float32_rounding_past_one_is_clipped():
    metric = resolve("log_loss", "binary")
    assert metric(np.array([1, 0]), np.array([1.000001, -0.000001]), [0, 1]) < 1e-12


@pytest.mark.parametrize(
    ("metric", "y", "prediction", "classes", "message"),
    [
        ("log_loss", [1, 0], [3.0, -2.0], [0, 1],
         "predicts from -2 to 3; for the task binary build_estimator must return a model"),
        ("log_loss", [1, 0], [0.5, np.nan], [0, 1], "predicts NaN or infinity 1 times in 2 rows"),
        ("accuracy", ["a", "c"], [0.5, 0.5], ["a", "b"],
         "1 of 2 rows have a target that is no class of the model, such as 'c'; it knows 'a', 'b'"),
    ],
)  # fmt: skip
def test_predictions_and_targets_that_no_metric_can_judge(metric, y, prediction, classes, message):
    with pytest.raises(MlopsError, match=re.escape(message)) as caught:
        resolve(metric, "binary")(np.array(y), np.array(prediction), classes)
    assert "\n" not in str(caught.value)


def test_predictions_of_other_rows_are_a_bug_of_ours():
    metric: Metric = resolve("accuracy", "multiclass")
    with pytest.raises(ValueError, match=r"2 rows, but predictions of shape \(3, 3\)"):
        metric(np.array([0, 1]), np.eye(3), [0, 1, 2])


def test_encode_gives_positions_in_the_given_order():
    assert encode(np.array(["b", "a", "b"], dtype=object), ["b", "a"]).tolist() == [0, 1, 0]
