CREATE FUNCTION public.al_loop_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the ledger is insert-only: % on % refused', TG_OP, TG_TABLE_NAME; END $$;
CREATE TABLE public.al_loop_schema (
    version integer NOT NULL
);
CREATE TABLE public.attempts (
    candidate_id integer NOT NULL,
    number integer NOT NULL,
    started character varying(32) NOT NULL,
    worker text NOT NULL
);
CREATE TABLE public.campaign (
    id integer NOT NULL,
    uid character varying(32) NOT NULL,
    name text NOT NULL,
    config text NOT NULL,
    fingerprint text NOT NULL,
    seed character varying(64) NOT NULL,
    objectives text NOT NULL,
    created character varying(32) NOT NULL,
    CONSTRAINT campaign_id_check CHECK ((id = 1))
);
CREATE TABLE public.candidates (
    id integer NOT NULL,
    round integer NOT NULL,
    "position" integer NOT NULL,
    object text NOT NULL,
    object_sha256 character varying(64) NOT NULL,
    fidelity text NOT NULL,
    origin text NOT NULL,
    predicted_mean double precision,
    predicted_std double precision,
    acquisition double precision,
    created character varying(32) NOT NULL,
    details text,
    replicate integer DEFAULT 0 NOT NULL
);
CREATE TABLE public.changes (
    id integer NOT NULL,
    round integer NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    old text,
    new text,
    reason text NOT NULL,
    changed_by text NOT NULL,
    changed character varying(32) NOT NULL
);
CREATE TABLE public.decisions (
    id integer NOT NULL,
    round integer NOT NULL,
    candidate_id integer,
    action text NOT NULL,
    reason text NOT NULL,
    decided_by text NOT NULL,
    decided character varying(32) NOT NULL
);
CREATE TABLE public.evaluations (
    candidate_id integer NOT NULL,
    revision integer NOT NULL,
    number integer NOT NULL,
    arrived integer NOT NULL,
    "values" text,
    noise text,
    failure_kind text,
    failure_reason text,
    cost double precision,
    seconds double precision NOT NULL,
    started character varying(32) NOT NULL,
    finished character varying(32) NOT NULL,
    worker text NOT NULL,
    attempts integer NOT NULL,
    info text NOT NULL,
    artifacts text NOT NULL,
    censored text,
    CONSTRAINT values_or_failure CHECK ((("values" IS NULL) <> (failure_kind IS NULL)))
);
CREATE TABLE public.leases (
    id integer NOT NULL,
    token integer NOT NULL,
    owner character varying(32) NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    since character varying(32) NOT NULL,
    heartbeat character varying(32) NOT NULL,
    released character varying(32),
    CONSTRAINT leases_id_check CHECK ((id = 1))
);
CREATE TABLE public.retries (
    candidate_id integer NOT NULL,
    revision integer NOT NULL,
    number integer NOT NULL,
    reason text NOT NULL,
    requested_by text NOT NULL,
    requested character varying(32) NOT NULL
);
CREATE TABLE public.round_reports (
    round integer NOT NULL,
    closed character varying(32) NOT NULL,
    metrics text NOT NULL,
    seconds text NOT NULL
);
CREATE TABLE public.rounds (
    number integer NOT NULL,
    opened character varying(32) NOT NULL,
    seed character varying(64) NOT NULL,
    seconds text NOT NULL,
    info text NOT NULL
);
CREATE TABLE public.sessions (
    id integer NOT NULL,
    started character varying(32) NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    versions text NOT NULL,
    command text NOT NULL,
    config text NOT NULL
);
CREATE TABLE public.void_attempts (
    candidate_id integer NOT NULL,
    number integer NOT NULL,
    reason text NOT NULL,
    recorded character varying(32) NOT NULL
);
INSERT INTO public.al_loop_schema VALUES (4);
INSERT INTO public.al_loop_schema VALUES (5);
INSERT INTO public.attempts VALUES (1, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0');
INSERT INTO public.attempts VALUES (2, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0');
INSERT INTO public.attempts VALUES (3, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0');
INSERT INTO public.attempts VALUES (4, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0');
INSERT INTO public.attempts VALUES (5, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0');
INSERT INTO public.attempts VALUES (6, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0');
INSERT INTO public.attempts VALUES (7, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0');
INSERT INTO public.attempts VALUES (8, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0');
INSERT INTO public.attempts VALUES (9, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0');
INSERT INTO public.attempts VALUES (10, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0');
INSERT INTO public.attempts VALUES (2, 2, '2026-11-26T16:11:23.545130+00:00', 'worker-1');
INSERT INTO public.attempts VALUES (11, 1, '2026-11-26T16:11:23.701780+00:00', 'told');
INSERT INTO public.attempts VALUES (13, 1, '2026-11-26T16:11:23.701780+00:00', 'worker-1');
INSERT INTO public.attempts VALUES (14, 1, '2026-11-26T16:11:23.701780+00:00', 'worker-2');
INSERT INTO public.attempts VALUES (5, 2, '2026-11-26T19:26:03.236988+00:00', 'worker-0');
INSERT INTO public.campaign VALUES (1, '1915fa69afc345b485963b8f11beaed0', 'schema-4', '{"name": "schema-4", "seed": 1267650600228229401496703205383, "environment": {"kind": "fragments", "target": null}, "oracle": {"kind": "human", "target": null, "objectives": ["affinity", "solubility"]}, "optimise": "affinity", "rounds": {"count": 2, "batch_size": 3, "initial": 9, "review": true}}', '0123456789abcdef', '1267650600228229401496703205383', '[{"name": "affinity", "unit": "kcal/mol", "goal": "minimise"}, {"name": "solubility", "unit": "mg/mL", "goal": "maximise"}]', '2026-11-26T16:11:23.381991+00:00');
INSERT INTO public.candidates VALUES (1, 0, 0, 'CCO', 'ab1de819ede91df490e6441934decfa9041b49f91d6bbadbba4df634ccff57fa', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (2, 0, 1, 'CCN', 'c4a9b106555ef387049238b8083ca645334f413e66bdc2f7db385f362889f386', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (3, 0, 2, 'c1ccccc1', '13cad05ca8f49c509e5b7be8c67668484344ebf2b2d12b03b295f14d4b1c32d1', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (4, 0, 3, 'CC(=O)O', 'b00014bedbaba3c96c5a7a9a3e5b442e4866a65e4668060e94657318f994bd8a', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (5, 0, 4, 'CCCC', '90b4853e06e722c63b4270463cf558684d7a1e77605d3ad36489d6146e42ab87', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (6, 0, 5, 'not a molecule', 'cb0d002bbb3ff2bc8fb55ec19cb13db46e41c57215b506f81d9de8e09b96e548', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (7, 0, 6, 'CCCl', '4a080a2a20baa1b8e12f75068f70ff414f1d38c594e10dc956a4b6c31017f3aa', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (8, 0, 7, 'CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC', '999c8fdb56adebf054fb0a3b00e21b625f82e03dba2d7a8cc8b10e1aaf77e88a', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (9, 0, 8, 'Größe µ', '7efc4c18e89e0f38f647e25152e3a77b43b3ddb46cd7092bddf9950573b9de9f', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (10, 0, 9, 'CCO', 'ab1de819ede91df490e6441934decfa9041b49f91d6bbadbba4df634ccff57fa', 'rough', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (11, 1, 0, 'CCS', '5156cc64ad912a74bb8bd6a96ec955fa6d4fc4c4f97815d53e6eef9439d398a0', 'exact', 'sampler', -7.5, 0.75, 1.25, '2026-11-26T16:11:23.620859+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (12, 1, 1, 'CCF', 'ae59e5e596500229e8a910d83953bbbdb5faae94df4dabc1442471c352842cff', 'exact', 'sampler', -7, 1.5, 1, '2026-11-26T16:11:23.620859+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (13, 1, 2, 'CCBr', '038fe59d5ce46a634e53020d818532bc881aefbaa589e70b4d7da1d58641ae27', 'rough', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.620859+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (14, 1, 3, 'CCI', 'f127ecbec2b0d5c7ba89f07299228b28e52ac155437d5e39207dae9aeb302bdc', 'exact', 'pinned', NULL, NULL, NULL, '2026-11-26T16:11:23.641941+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (15, 1, 4, 'CCOCC', 'f2ef24d8a92c71b25a77ca5f108dad81819066e2824cdd28df5b970402c795d1', '', 'told', NULL, NULL, NULL, '2026-11-26T16:11:23.713913+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (16, 2, 0, 'CCCO', '462b618a7419d00dd59fb15aed29e14bafd4a7d7d862f15758cac9c392890247', 'exact', 'pool', -8.25, 0.5, 2, '2026-11-26T16:11:23.868087+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (17, 2, 1, 'CCCN', '1cb689ad74aafe8931d1c440d139fd2d897e3bbe7062e50081e552801a7a4158', 'exact', 'pool', -8, 0.5, 1.5, '2026-11-26T16:11:23.868087+00:00', NULL, 0);
INSERT INTO public.candidates VALUES (18, 2, 2, 'CCCS', 'dcb63a4f26e08fc12025f72494572d4ded854628bc286b19e3b620cd7e2ce731', 'exact', 'pinned', NULL, NULL, NULL, '2026-11-26T16:11:23.882120+00:00', NULL, 0);
INSERT INTO public.changes VALUES (1, 2, 'config', 'rounds.batch_size', '3', '2', 'fewer plates', 'ada', '2026-01-03T03:04:05.678901+00:00');
INSERT INTO public.decisions VALUES (1, 1, 12, 'veto', 'too volatile', 'ada', '2026-11-26T16:11:23.641941+00:00');
INSERT INTO public.decisions VALUES (2, 1, 14, 'pin', 'for comparison', 'ada', '2026-11-26T16:11:23.641941+00:00');
INSERT INTO public.decisions VALUES (3, 1, NULL, 'approve', '', 'ada', '2026-11-26T16:11:23.641941+00:00');
INSERT INTO public.decisions VALUES (4, 2, 18, 'pin', 'a wish', 'bo', '2026-11-26T16:11:23.882120+00:00');
INSERT INTO public.decisions VALUES (5, 2, 18, 'veto', 'a wish withdrawn', 'bo', '2026-11-26T16:11:23.927720+00:00');
INSERT INTO public.decisions VALUES (6, 2, NULL, 'stop', 'the best value is as good as it was to be', 'al-loop', '2026-11-26T16:11:23.954309+00:00');
INSERT INTO public.evaluations VALUES (1, 0, 1, 0, '[-7.25, 1.5]', '[0.5, 0.25]', NULL, NULL, 2.5, 1.25, '2026-01-02T03:05:05.678901+00:00', '2026-01-02T03:05:06.928901+00:00', 'worker-0', 1, '{"seed": 3, "note": "Gr\u00f6\u00dfe"}', '{"pose.pdbqt": {"bytes": 4, "sha256": "939f34238170826d249f0103a04e8d7406da30abd2dad9a8dc92702e31165ff5"}, "log.txt": {"bytes": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}', NULL);
INSERT INTO public.evaluations VALUES (2, 0, 2, 0, '[-8.0, 0.1]', NULL, NULL, NULL, 1, 1.25, '2026-01-02T03:06:05.678901+00:00', '2026-01-02T03:06:06.928901+00:00', 'worker-0', 2, '{}', '{}', NULL);
INSERT INTO public.evaluations VALUES (3, 0, 3, 0, '[-1e-300, 1e+300]', NULL, NULL, NULL, NULL, 1.25, '2026-01-02T03:07:05.678901+00:00', '2026-01-02T03:07:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL);
INSERT INTO public.evaluations VALUES (4, 0, 4, 0, NULL, NULL, 'permanent', 'ValueError: no charges', NULL, 1.25, '2026-01-02T03:08:05.678901+00:00', '2026-01-02T03:08:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL);
INSERT INTO public.evaluations VALUES (5, 0, 5, 0, NULL, NULL, 'retryable', 'the licence server did not answer', NULL, 1.25, '2026-01-02T03:09:05.678901+00:00', '2026-01-02T03:09:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL);
INSERT INTO public.evaluations VALUES (6, 0, 6, 0, NULL, NULL, 'invalid', 'not a molecule', NULL, 1.25, '2026-01-02T03:10:05.678901+00:00', '2026-01-02T03:10:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL);
INSERT INTO public.evaluations VALUES (7, 0, 7, 0, NULL, NULL, 'timeout', 'no answer within 60 s', NULL, 1.25, '2026-01-02T03:11:05.678901+00:00', '2026-01-02T03:11:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL);
INSERT INTO public.evaluations VALUES (8, 0, 8, 0, '[-6.0, 0.0]', NULL, NULL, NULL, 0, 1.25, '2026-01-02T03:12:05.678901+00:00', '2026-01-02T03:12:06.928901+00:00', 'worker-0', 1, '{"from_campaign": "another"}', '{}', NULL);
INSERT INTO public.evaluations VALUES (10, 0, 9, 0, '[-7.0, 1.0]', NULL, NULL, NULL, 0.25, 1.25, '2026-01-02T03:14:05.678901+00:00', '2026-01-02T03:14:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL);
INSERT INTO public.evaluations VALUES (11, 0, 10, 1, '[-9.0, 2.0]', NULL, NULL, NULL, NULL, 1.25, '2026-01-02T03:15:05.678901+00:00', '2026-01-02T03:15:06.928901+00:00', 'told by ada', 1, '{"file": "batch.csv", "operator": "jd"}', '{}', NULL);
INSERT INTO public.evaluations VALUES (15, 0, 11, 1, '[-5.5, 3.0]', NULL, NULL, NULL, NULL, 1.25, '2026-01-02T03:04:05.678901+00:00', '2026-01-02T03:04:06.928901+00:00', 'told by ada', 0, '{}', '{}', NULL);
INSERT INTO public.evaluations VALUES (11, 1, 12, 1, '[-8.5, 2.0]', NULL, NULL, NULL, NULL, 1.25, '2026-01-02T03:15:05.678901+00:00', '2026-01-02T03:15:06.928901+00:00', 'told by bo', 1, '{"why": "a typing error"}', '{}', NULL);
INSERT INTO public.evaluations VALUES (11, 2, 13, 1, NULL, NULL, 'permanent', 'the sample was mixed up', NULL, 1.25, '2026-01-02T03:15:05.678901+00:00', '2026-01-02T03:15:06.928901+00:00', 'told by bo', 1, '{}', '{}', NULL);
INSERT INTO public.evaluations VALUES (4, 1, 14, 1, '[-6.5, 0.5]', NULL, NULL, NULL, NULL, 1.25, '2026-01-02T03:08:05.678901+00:00', '2026-01-02T03:08:06.928901+00:00', 'told by bo', 1, '{}', '{}', NULL);
INSERT INTO public.evaluations VALUES (5, 1, 16, 2, NULL, NULL, 'retryable', 'the licence server did not answer', NULL, 1.25, '2026-01-03T03:04:05.678901+00:00', '2026-01-03T03:04:06.928901+00:00', 'worker-0', 2, '{}', '{}', NULL);
INSERT INTO public.evaluations VALUES (2, 1, 17, 2, '[-9.0, 0.1]', NULL, NULL, NULL, NULL, 1.25, '2026-01-03T03:04:05.678901+00:00', '2026-01-03T03:04:06.928901+00:00', 'told by bo', 2, '{"why": "below the range"}', '{}', '["<", null]');
INSERT INTO public.leases VALUES (1, 1, '00000000000000000000000000000000', 'golden', 7, '2026-01-03T03:04:05.678901+00:00', '2026-01-03T03:04:06.928901+00:00', NULL);
INSERT INTO public.retries VALUES (5, 0, 15, 'the licence server is back', 'ada', '2026-11-26T19:26:03.218389+00:00');
INSERT INTO public.round_reports VALUES (0, '2026-11-26T16:11:23.605992+00:00', '{"best": -8.0, "top10_mean": null, "predictions": {}, "alarms": {}}', '{"evaluate": 9.0}');
INSERT INTO public.round_reports VALUES (1, '2026-11-26T16:11:23.831516+00:00', '{"best": -8.0, "rank_correlation": 0.5, "predictions": {"affinity": {"n": 1, "rmse": 1.5, "coverage": {"80": 1.0}}}, "alarms": {"coverage": "the surrogate is too sure of itself"}}', '{"evaluate": 1.0}');
INSERT INTO public.rounds VALUES (0, '2026-11-26T16:11:23.454241+00:00', '1329227995784915872903807060280344577', '{"select": 0.5}', '{"n_answers": 0, "fidelities": ["rough", "exact"]}');
INSERT INTO public.rounds VALUES (1, '2026-11-26T16:11:23.620859+00:00', '7', '{"fit": 1.0, "train": 2.0, "select": 0.5}', '{"n_answers": 9, "predicted": {"mean": [[-7.5, 1.0]], "std": [[0.75, 0.5]]}, "forecast": {"low": -9.0, "high": -8.0}}');
INSERT INTO public.rounds VALUES (2, '2026-11-26T16:11:23.868087+00:00', '8', '{}', '{}');
INSERT INTO public.sessions VALUES (1, '2026-11-26T16:11:23.381991+00:00', 'golden', 5506, '{"al-loop": "0.1.0", "python": "3.11.7", "torch": "2.13.0"}', 'al-loop run campaign.yaml', '{"name": "schema-4", "seed": 1267650600228229401496703205383, "environment": {"kind": "fragments", "target": null}, "oracle": {"kind": "human", "target": null, "objectives": ["affinity", "solubility"]}, "optimise": "affinity", "rounds": {"count": 2, "batch_size": 3, "initial": 9, "review": true}}');
INSERT INTO public.sessions VALUES (2, '2026-11-26T16:11:23.844865+00:00', 'golden', 5506, '{"al-loop": "0.1.0", "python": "3.11.7", "torch": "2.13.0"}', 'al-loop run campaign.yaml', '{"name": "schema-4", "seed": 1267650600228229401496703205383, "environment": {"kind": "fragments", "target": null}, "oracle": {"kind": "human", "target": null, "objectives": ["affinity", "solubility"]}, "optimise": "affinity", "rounds": {"count": 3, "batch_size": 3, "initial": 9, "review": true}}');
INSERT INTO public.void_attempts VALUES (5, 2, 'no licence file', '2026-11-26T19:26:03.253045+00:00');
ALTER TABLE ONLY public.al_loop_schema
    ADD CONSTRAINT al_loop_schema_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (candidate_id, number);
ALTER TABLE ONLY public.campaign
    ADD CONSTRAINT campaign_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.candidates
    ADD CONSTRAINT candidates_object_sha256_fidelity_replicate_key UNIQUE (object_sha256, fidelity, replicate);
ALTER TABLE ONLY public.candidates
    ADD CONSTRAINT candidates_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.candidates
    ADD CONSTRAINT candidates_round_position_key UNIQUE (round, "position");
ALTER TABLE ONLY public.changes
    ADD CONSTRAINT changes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_candidate_id_action_key UNIQUE (candidate_id, action);
ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.evaluations
    ADD CONSTRAINT evaluations_number_key UNIQUE (number);
ALTER TABLE ONLY public.evaluations
    ADD CONSTRAINT evaluations_pkey PRIMARY KEY (candidate_id, revision);
ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.retries
    ADD CONSTRAINT retries_pkey PRIMARY KEY (candidate_id, revision);
ALTER TABLE ONLY public.round_reports
    ADD CONSTRAINT round_reports_pkey PRIMARY KEY (round);
ALTER TABLE ONLY public.rounds
    ADD CONSTRAINT rounds_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.void_attempts
    ADD CONSTRAINT void_attempts_pkey PRIMARY KEY (candidate_id, number);
CREATE TRIGGER al_loop_schema_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.al_loop_schema FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER attempts_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.attempts FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER campaign_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.campaign FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER candidates_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.candidates FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER changes_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.changes FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER decisions_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.decisions FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER evaluations_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.evaluations FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER retries_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.retries FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER round_reports_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.round_reports FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER rounds_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.rounds FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER sessions_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.sessions FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER void_attempts_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.void_attempts FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_candidate_id_fkey FOREIGN KEY (candidate_id) REFERENCES public.candidates(id);
ALTER TABLE ONLY public.candidates
    ADD CONSTRAINT candidates_round_fkey FOREIGN KEY (round) REFERENCES public.rounds(number);
ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_candidate_id_fkey FOREIGN KEY (candidate_id) REFERENCES public.candidates(id);
ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_round_fkey FOREIGN KEY (round) REFERENCES public.rounds(number);
ALTER TABLE ONLY public.evaluations
    ADD CONSTRAINT evaluations_candidate_id_fkey FOREIGN KEY (candidate_id) REFERENCES public.candidates(id);
ALTER TABLE ONLY public.retries
    ADD CONSTRAINT retries_candidate_id_revision_fkey FOREIGN KEY (candidate_id, revision) REFERENCES public.evaluations(candidate_id, revision);
ALTER TABLE ONLY public.round_reports
    ADD CONSTRAINT round_reports_round_fkey FOREIGN KEY (round) REFERENCES public.rounds(number);
ALTER TABLE ONLY public.void_attempts
    ADD CONSTRAINT void_attempts_candidate_id_number_fkey FOREIGN KEY (candidate_id, number) REFERENCES public.attempts(candidate_id, number);
