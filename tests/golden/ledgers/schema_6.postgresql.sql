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
    worker text NOT NULL,
    entry integer,
    seal character varying(64)
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
    entry integer,
    seal character varying(64),
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
    replicate integer DEFAULT 0 NOT NULL,
    entry integer,
    seal character varying(64)
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
    changed character varying(32) NOT NULL,
    entry integer,
    seal character varying(64)
);
CREATE TABLE public.decisions (
    id integer NOT NULL,
    round integer NOT NULL,
    candidate_id integer,
    action text NOT NULL,
    reason text NOT NULL,
    decided_by text NOT NULL,
    decided character varying(32) NOT NULL,
    entry integer,
    seal character varying(64)
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
    entry integer,
    seal character varying(64),
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
CREATE TABLE public.links (
    number integer NOT NULL,
    table_name text NOT NULL,
    last integer NOT NULL,
    seal character varying(64) NOT NULL
);
CREATE TABLE public.retries (
    candidate_id integer NOT NULL,
    revision integer NOT NULL,
    number integer NOT NULL,
    reason text NOT NULL,
    requested_by text NOT NULL,
    requested character varying(32) NOT NULL,
    entry integer,
    seal character varying(64)
);
CREATE TABLE public.round_reports (
    round integer NOT NULL,
    closed character varying(32) NOT NULL,
    metrics text NOT NULL,
    seconds text NOT NULL,
    entry integer,
    seal character varying(64)
);
CREATE TABLE public.rounds (
    number integer NOT NULL,
    opened character varying(32) NOT NULL,
    seed character varying(64) NOT NULL,
    seconds text NOT NULL,
    info text NOT NULL,
    entry integer,
    seal character varying(64)
);
CREATE TABLE public.sessions (
    id integer NOT NULL,
    started character varying(32) NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    versions text NOT NULL,
    command text NOT NULL,
    config text NOT NULL,
    entry integer,
    seal character varying(64)
);
CREATE TABLE public.void_attempts (
    candidate_id integer NOT NULL,
    number integer NOT NULL,
    reason text NOT NULL,
    recorded character varying(32) NOT NULL,
    entry integer,
    seal character varying(64)
);
INSERT INTO public.al_loop_schema VALUES (4);
INSERT INTO public.al_loop_schema VALUES (5);
INSERT INTO public.al_loop_schema VALUES (6);
INSERT INTO public.attempts VALUES (1, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0', 28, '23c9675efcaadbf6cd0f5010d326fd16aa677262350b9811bb41d934368663bf');
INSERT INTO public.attempts VALUES (2, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0', 29, '997a2c38542cb298a949b388ce0a6193d5c8ebeebe520e564079246f447f9694');
INSERT INTO public.attempts VALUES (2, 2, '2026-11-26T16:11:23.545130+00:00', 'worker-1', 30, 'c6674894a6935c4b36a5d46515cae2b7bfd46799cbc28f3b16e81b9cf8f12bca');
INSERT INTO public.attempts VALUES (3, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0', 31, '1d61220421f1a10b0c5d522dc7c2b9ecbc329769637b4a4a0e71221df3f43174');
INSERT INTO public.attempts VALUES (4, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0', 32, 'c0344578ba92e496bd3a9dfae10cc0a6388cdf4b43cf107db884288759775010');
INSERT INTO public.attempts VALUES (5, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0', 33, '91608e8940f4ee924e1c68f75cb7e10af11297125122d6d3bf3e6925cc672363');
INSERT INTO public.attempts VALUES (5, 2, '2026-11-26T19:26:03.236988+00:00', 'worker-0', 34, 'e9fcda0e3fdedc376ca37cfad0f429c6e031cdc63ff35895134e8fe10eccb4ac');
INSERT INTO public.attempts VALUES (6, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0', 35, '01833817a7016a3884537b74e8a7e477891dcb20e8a3cefb1194f4f412b74c5c');
INSERT INTO public.attempts VALUES (7, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0', 36, '0129eb112ae800f553eae370d18a4817de7d8f35ff00de7da24a3d0839cdea8f');
INSERT INTO public.attempts VALUES (8, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0', 37, 'b1054c0f2f33c92d1736d97f596ae85ad7b335612444ea416e8f6cd07d8370e1');
INSERT INTO public.attempts VALUES (9, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0', 38, '65b8dc84db4c3037cfa9ad1299344a283cf7ba88d340b2d3da6f07c7e0a62b10');
INSERT INTO public.attempts VALUES (10, 1, '2026-11-26T16:11:23.505800+00:00', 'worker-0', 39, '3f182b74e7018f5dff9237c607f547d0f1ff6b03eb5ce15eea8d9f1a955fc4cc');
INSERT INTO public.attempts VALUES (11, 1, '2026-11-26T16:11:23.701780+00:00', 'told', 40, '70dca962d8da340cc2b83b354d91cebc14ddd8b0eb6f1d433da57720ee67153c');
INSERT INTO public.attempts VALUES (13, 1, '2026-11-26T16:11:23.701780+00:00', 'worker-1', 41, 'd26f498f1c2d11e32be95369d085b096ae3d14e284adedce482b184757092c0c');
INSERT INTO public.attempts VALUES (14, 1, '2026-11-26T16:11:23.701780+00:00', 'worker-2', 42, 'fe83c114a9b7558b0e48663e54d460cafa546e4e927ac73d17b0fcd8f07889c5');
INSERT INTO public.campaign VALUES (1, '1915fa69afc345b485963b8f11beaed0', 'schema-4', '{"name": "schema-4", "seed": 1267650600228229401496703205383, "environment": {"kind": "fragments", "target": null}, "oracle": {"kind": "human", "target": null, "objectives": ["affinity", "solubility"]}, "optimise": "affinity", "rounds": {"count": 2, "batch_size": 3, "initial": 9, "review": true}}', '0123456789abcdef', '1267650600228229401496703205383', '[{"name": "affinity", "unit": "kcal/mol", "goal": "minimise"}, {"name": "solubility", "unit": "mg/mL", "goal": "maximise"}]', '2026-11-26T16:11:23.381991+00:00', 1, '17dc84d2dbc0e7458a90428e2814310b9701288f8766e5dfb8c175d8175004ae');
INSERT INTO public.candidates VALUES (1, 0, 0, 'CCO', 'ab1de819ede91df490e6441934decfa9041b49f91d6bbadbba4df634ccff57fa', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0, 8, 'cb77a149cac720c50167ece564dffa00260913085f21ca011e26d06c8fb5adfd');
INSERT INTO public.candidates VALUES (2, 0, 1, 'CCN', 'c4a9b106555ef387049238b8083ca645334f413e66bdc2f7db385f362889f386', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0, 9, 'a01eb4507fba2a6124e4563e9214b71280f9797c47283b0290c9b43317430511');
INSERT INTO public.candidates VALUES (3, 0, 2, 'c1ccccc1', '13cad05ca8f49c509e5b7be8c67668484344ebf2b2d12b03b295f14d4b1c32d1', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0, 10, 'a756fa3e1f7113104e6794d13397c737864f6167a885b825c45b941635e56972');
INSERT INTO public.candidates VALUES (4, 0, 3, 'CC(=O)O', 'b00014bedbaba3c96c5a7a9a3e5b442e4866a65e4668060e94657318f994bd8a', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0, 11, 'c4ca27a3ad736bbda478f416d91574099d12fb6df98d3a91954b17376034864c');
INSERT INTO public.candidates VALUES (5, 0, 4, 'CCCC', '90b4853e06e722c63b4270463cf558684d7a1e77605d3ad36489d6146e42ab87', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0, 12, '069e1f32c2aeea7455e52296e0ad22a9878e24904249a9f0968d73b9387b2ab6');
INSERT INTO public.candidates VALUES (6, 0, 5, 'not a molecule', 'cb0d002bbb3ff2bc8fb55ec19cb13db46e41c57215b506f81d9de8e09b96e548', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0, 13, '064986188be5b54b6cb3420e7efa8e0b81bd9d944bf26e24c331efd524b3be98');
INSERT INTO public.candidates VALUES (7, 0, 6, 'CCCl', '4a080a2a20baa1b8e12f75068f70ff414f1d38c594e10dc956a4b6c31017f3aa', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0, 14, '2e2dfb3ed3216982c8d1c2e1395761c69d3a86086a0c9eca4095daed96b119dd');
INSERT INTO public.candidates VALUES (8, 0, 7, 'CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC', '999c8fdb56adebf054fb0a3b00e21b625f82e03dba2d7a8cc8b10e1aaf77e88a', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0, 15, 'fb4914f419c669297e0030069b471e6cc0b3d77238c07315c07602aec8e89010');
INSERT INTO public.candidates VALUES (9, 0, 8, 'Größe µ', '7efc4c18e89e0f38f647e25152e3a77b43b3ddb46cd7092bddf9950573b9de9f', 'exact', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0, 16, '5b0f2a9475c7533c7d58187b583aef7745d08c2abab66d8c2a53e5618385952d');
INSERT INTO public.candidates VALUES (10, 0, 9, 'CCO', 'ab1de819ede91df490e6441934decfa9041b49f91d6bbadbba4df634ccff57fa', 'rough', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.454241+00:00', NULL, 0, 17, 'f0572c9c1f94262f7c19b137dbaa6b101db76c1e719d7dbbef9693298b87228e');
INSERT INTO public.candidates VALUES (11, 1, 0, 'CCS', '5156cc64ad912a74bb8bd6a96ec955fa6d4fc4c4f97815d53e6eef9439d398a0', 'exact', 'sampler', -7.5, 0.75, 1.25, '2026-11-26T16:11:23.620859+00:00', NULL, 0, 18, '6fcfd0bb7cfa18bcc280db81f2e78a292c1c8988df6534f86703ffab4d49fdb6');
INSERT INTO public.candidates VALUES (12, 1, 1, 'CCF', 'ae59e5e596500229e8a910d83953bbbdb5faae94df4dabc1442471c352842cff', 'exact', 'sampler', -7, 1.5, 1, '2026-11-26T16:11:23.620859+00:00', NULL, 0, 19, '5a8c9e37f4aa9c56eca558fa46ff7d33370f4a9823686fde808821772941c561');
INSERT INTO public.candidates VALUES (13, 1, 2, 'CCBr', '038fe59d5ce46a634e53020d818532bc881aefbaa589e70b4d7da1d58641ae27', 'rough', 'random', NULL, NULL, NULL, '2026-11-26T16:11:23.620859+00:00', NULL, 0, 20, '61213b1a3d1e0c769b533bc02e8c0cb700e8a5e5abce3b3e4dd700fa5a46a008');
INSERT INTO public.candidates VALUES (14, 1, 3, 'CCI', 'f127ecbec2b0d5c7ba89f07299228b28e52ac155437d5e39207dae9aeb302bdc', 'exact', 'pinned', NULL, NULL, NULL, '2026-11-26T16:11:23.641941+00:00', NULL, 0, 21, '276d8323fa5ed94987c38018af195159b150c3a1d6691155026c8cfde5dfe706');
INSERT INTO public.candidates VALUES (15, 1, 4, 'CCOCC', 'f2ef24d8a92c71b25a77ca5f108dad81819066e2824cdd28df5b970402c795d1', '', 'told', NULL, NULL, NULL, '2026-11-26T16:11:23.713913+00:00', NULL, 0, 22, '915138b19a41516a27165a34f295fe1d1a40f52f591cea985e25eeaf87c0298c');
INSERT INTO public.candidates VALUES (16, 2, 0, 'CCCO', '462b618a7419d00dd59fb15aed29e14bafd4a7d7d862f15758cac9c392890247', 'exact', 'pool', -8.25, 0.5, 2, '2026-11-26T16:11:23.868087+00:00', NULL, 0, 23, '67b5537442f64933c792f32ee36fbfef238b7fca6b99fd8956292c54c02bfc42');
INSERT INTO public.candidates VALUES (17, 2, 1, 'CCCN', '1cb689ad74aafe8931d1c440d139fd2d897e3bbe7062e50081e552801a7a4158', 'exact', 'pool', -8, 0.5, 1.5, '2026-11-26T16:11:23.868087+00:00', NULL, 0, 24, '3dea9f0211b08731b89a155fd0d0c4df688eb018e8dcfb37ef0d6092d8029cc4');
INSERT INTO public.candidates VALUES (18, 2, 2, 'CCCS', 'dcb63a4f26e08fc12025f72494572d4ded854628bc286b19e3b620cd7e2ce731', 'exact', 'pinned', NULL, NULL, NULL, '2026-11-26T16:11:23.882120+00:00', NULL, 0, 25, '316d5166b5666b08a0d6c8df144b372ff03766986b942c806316946453f0d526');
INSERT INTO public.changes VALUES (1, 2, 'config', 'rounds.batch_size', '3', '2', 'fewer plates', 'ada', '2026-01-03T03:04:05.678901+00:00', 2, '729e8fafbf4e643707d8cb299e24af63610208803b1fd0f9ab99efd81f2c6d37');
INSERT INTO public.decisions VALUES (1, 1, 12, 'veto', 'too volatile', 'ada', '2026-11-26T16:11:23.641941+00:00', 43, '451424677b0ff967c2fe1f3515bbe95acff7299ee3bb08cedf5f450eec9b6953');
INSERT INTO public.decisions VALUES (2, 1, 14, 'pin', 'for comparison', 'ada', '2026-11-26T16:11:23.641941+00:00', 44, 'a53ba67755b4c32bf005efbd1ddc93cd24490c9199afb529726a9f587c3ebe2d');
INSERT INTO public.decisions VALUES (3, 1, NULL, 'approve', '', 'ada', '2026-11-26T16:11:23.641941+00:00', 45, '9e11d364254c4a881765b75f3003321125a6ae9851ed6cc1712c845d917b1eb6');
INSERT INTO public.decisions VALUES (4, 2, 18, 'pin', 'a wish', 'bo', '2026-11-26T16:11:23.882120+00:00', 46, '3af689db2e5ad976965cd86814fd9456c118137ed8c5dcd38fffafe90caf4b99');
INSERT INTO public.decisions VALUES (5, 2, 18, 'veto', 'a wish withdrawn', 'bo', '2026-11-26T16:11:23.927720+00:00', 47, '133508a5b5481e8a79bb977ff0d4802f24541466fde516d7f5c33ba063bec7b7');
INSERT INTO public.decisions VALUES (6, 2, NULL, 'stop', 'the best value is as good as it was to be', 'al-loop', '2026-11-26T16:11:23.954309+00:00', 48, '886fcaf4064601f4e5c713b0104bc4b9a5c72e7657ed806e96636bd74ed6cef3');
INSERT INTO public.evaluations VALUES (1, 0, 1, 0, '[-7.25, 1.5]', '[0.5, 0.25]', NULL, NULL, 2.5, 1.25, '2026-01-02T03:05:05.678901+00:00', '2026-01-02T03:05:06.928901+00:00', 'worker-0', 1, '{"seed": 3, "note": "Gr\u00f6\u00dfe"}', '{"pose.pdbqt": {"bytes": 4, "sha256": "939f34238170826d249f0103a04e8d7406da30abd2dad9a8dc92702e31165ff5"}, "log.txt": {"bytes": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}', NULL, 49, '34af64ab7794d30c4f1e9a9eeb15fe864c000514c6fd5e05f2c93f2f7f5c3b75');
INSERT INTO public.evaluations VALUES (2, 0, 2, 0, '[-8.0, 0.1]', NULL, NULL, NULL, 1, 1.25, '2026-01-02T03:06:05.678901+00:00', '2026-01-02T03:06:06.928901+00:00', 'worker-0', 2, '{}', '{}', NULL, 50, '96acc08864878689e5b7fdecc8dddbbd7e822f31c221107b6af19f354365f70e');
INSERT INTO public.evaluations VALUES (3, 0, 3, 0, '[-1e-300, 1e+300]', NULL, NULL, NULL, NULL, 1.25, '2026-01-02T03:07:05.678901+00:00', '2026-01-02T03:07:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL, 51, '28d66bb71c48d0e63cc4066349e29eb3aaa48e63524b32036835f96520157be7');
INSERT INTO public.evaluations VALUES (4, 0, 4, 0, NULL, NULL, 'permanent', 'ValueError: no charges', NULL, 1.25, '2026-01-02T03:08:05.678901+00:00', '2026-01-02T03:08:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL, 52, 'f3cb8281e9e243a1b18156043086ad1d8e97bf0e32b37b7d941e4c169d253136');
INSERT INTO public.evaluations VALUES (5, 0, 5, 0, NULL, NULL, 'retryable', 'the licence server did not answer', NULL, 1.25, '2026-01-02T03:09:05.678901+00:00', '2026-01-02T03:09:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL, 53, '407ffba4a267ea5d16f080262e31bfeeec42af39938c39f326946370fdb53230');
INSERT INTO public.evaluations VALUES (6, 0, 6, 0, NULL, NULL, 'invalid', 'not a molecule', NULL, 1.25, '2026-01-02T03:10:05.678901+00:00', '2026-01-02T03:10:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL, 54, '8814075db899101c9887011f30e9a933e4eb75eb08947fa96982d6378c38e778');
INSERT INTO public.evaluations VALUES (7, 0, 7, 0, NULL, NULL, 'timeout', 'no answer within 60 s', NULL, 1.25, '2026-01-02T03:11:05.678901+00:00', '2026-01-02T03:11:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL, 55, '916cb0c26d8b3b525ae9d16461e20d5c0558285d582330a5769fa33674fa16b2');
INSERT INTO public.evaluations VALUES (8, 0, 8, 0, '[-6.0, 0.0]', NULL, NULL, NULL, 0, 1.25, '2026-01-02T03:12:05.678901+00:00', '2026-01-02T03:12:06.928901+00:00', 'worker-0', 1, '{"from_campaign": "another"}', '{}', NULL, 56, 'adf46be6e24bc2dde05f745b64a440f957f60fe9b45dc9308d3282dd5fbe6328');
INSERT INTO public.evaluations VALUES (10, 0, 9, 0, '[-7.0, 1.0]', NULL, NULL, NULL, 0.25, 1.25, '2026-01-02T03:14:05.678901+00:00', '2026-01-02T03:14:06.928901+00:00', 'worker-0', 1, '{}', '{}', NULL, 57, '9f3e63f4165e01a09248eae0834d26b0e7be1d0dd31cf8d74ed639dbd1ca3e99');
INSERT INTO public.evaluations VALUES (11, 0, 10, 1, '[-9.0, 2.0]', NULL, NULL, NULL, NULL, 1.25, '2026-01-02T03:15:05.678901+00:00', '2026-01-02T03:15:06.928901+00:00', 'told by ada', 1, '{"file": "batch.csv", "operator": "jd"}', '{}', NULL, 58, 'c74e41827df34b4ef5d0d8b1ccdf29077e2e8dfdf0ea9bf06f9f4a2f47024912');
INSERT INTO public.evaluations VALUES (15, 0, 11, 1, '[-5.5, 3.0]', NULL, NULL, NULL, NULL, 1.25, '2026-01-02T03:04:05.678901+00:00', '2026-01-02T03:04:06.928901+00:00', 'told by ada', 0, '{}', '{}', NULL, 59, 'e3e4f6455917fe9edc455bcd5ee02c8c0f26c80f29d8321bf08a9d43a63583bf');
INSERT INTO public.evaluations VALUES (11, 1, 12, 1, '[-8.5, 2.0]', NULL, NULL, NULL, NULL, 1.25, '2026-01-02T03:15:05.678901+00:00', '2026-01-02T03:15:06.928901+00:00', 'told by bo', 1, '{"why": "a typing error"}', '{}', NULL, 60, '1eb2d5df6172e97c7d4bc9e61e770771a22fcbb02bf369e254683a2a81ba224b');
INSERT INTO public.evaluations VALUES (11, 2, 13, 1, NULL, NULL, 'permanent', 'the sample was mixed up', NULL, 1.25, '2026-01-02T03:15:05.678901+00:00', '2026-01-02T03:15:06.928901+00:00', 'told by bo', 1, '{}', '{}', NULL, 61, '728563c4c549fd6e345964139e25b0444045c8260a9e6bc365653415164f0ddd');
INSERT INTO public.evaluations VALUES (4, 1, 14, 1, '[-6.5, 0.5]', NULL, NULL, NULL, NULL, 1.25, '2026-01-02T03:08:05.678901+00:00', '2026-01-02T03:08:06.928901+00:00', 'told by bo', 1, '{}', '{}', NULL, 62, '70c81bc51d876974ff9009b100a2873906e1baed309f988523dc37c72c443d35');
INSERT INTO public.evaluations VALUES (5, 1, 16, 2, NULL, NULL, 'retryable', 'the licence server did not answer', NULL, 1.25, '2026-01-03T03:04:05.678901+00:00', '2026-01-03T03:04:06.928901+00:00', 'worker-0', 2, '{}', '{}', NULL, 63, '388eec5815cf8ca38196866ddd4e0f01e82ec224519c9775812bcbde09ac1640');
INSERT INTO public.evaluations VALUES (2, 1, 17, 2, '[-9.0, 0.1]', NULL, NULL, NULL, NULL, 1.25, '2026-01-03T03:04:05.678901+00:00', '2026-01-03T03:04:06.928901+00:00', 'told by bo', 2, '{"why": "below the range"}', '{}', '["<", null]', 64, '3cb6a3874ad73e39ae5db5b04bef725d415ace7130ba2ef4063785a6d8923994');
INSERT INTO public.leases VALUES (1, 1, '00000000000000000000000000000000', 'golden', 7, '2026-01-03T03:04:05.678901+00:00', '2026-01-03T03:04:06.928901+00:00', NULL);
INSERT INTO public.links VALUES (1, 'campaign', 1, '33d0af4454f50abf725c2708163a082de4daf39a5705e21a93daa977f6a59836');
INSERT INTO public.links VALUES (2, 'changes', 2, '8056e8a3c05a269e1b35ea8cb26aeec4e4a2b1399f638123222bea510e83f4c0');
INSERT INTO public.links VALUES (3, 'rounds', 5, '6ceeb6ebca3550fc4a9cc4972277d62b077c5037ea4a6fe78b873b5486f24cb7');
INSERT INTO public.links VALUES (4, 'sessions', 7, '2f3e58fef8f92d07ff0a70c7e3269aa4ca0ab5bbfca14fc7b1a9f0540e902b6c');
INSERT INTO public.links VALUES (5, 'candidates', 25, 'bbac259285c6782bb541445c580baa2d6e1b7a34e4df5e392ef7c3a68a1674c4');
INSERT INTO public.links VALUES (6, 'round_reports', 27, '8d2cab431aedeed793466377782e32e51623f88d4b16fe6601030e393f4d50d1');
INSERT INTO public.links VALUES (7, 'attempts', 42, '25cdfac4dbe8e6d714edb7580e822fa66b288912a675a68275edd0f6809b6496');
INSERT INTO public.links VALUES (8, 'decisions', 48, 'c40aae2afd6edd2c027461c7dc43c1012643ca84dbe1b8f5c3f2d62101a3486d');
INSERT INTO public.links VALUES (9, 'evaluations', 64, '6f508d52075ab400217f3684d4facc7634a36519a9eb5d849683c5e50bdfd136');
INSERT INTO public.links VALUES (10, 'retries', 65, 'f9f6547395255648c02f88546989269e7cca003106deee8a3989184ab9c20ece');
INSERT INTO public.links VALUES (11, 'void_attempts', 66, '54c2368a77d39458dc78b74d0c77316cce9afde7af63e7513668c0ab1447afdb');
INSERT INTO public.retries VALUES (5, 0, 15, 'the licence server is back', 'ada', '2026-11-26T19:26:03.218389+00:00', 65, 'c79c5e350c58f7b56890b36285d0ebeca25d7526d6f717eec21faeb7662885d2');
INSERT INTO public.round_reports VALUES (0, '2026-11-26T16:11:23.605992+00:00', '{"best": -8.0, "top10_mean": null, "predictions": {}, "alarms": {}}', '{"evaluate": 9.0}', 26, '8a8755fb93f7e9f98afdc85532e5ad90c4358823d4c4fa981e0396738b678cd9');
INSERT INTO public.round_reports VALUES (1, '2026-11-26T16:11:23.831516+00:00', '{"best": -8.0, "rank_correlation": 0.5, "predictions": {"affinity": {"n": 1, "rmse": 1.5, "coverage": {"80": 1.0}}}, "alarms": {"coverage": "the surrogate is too sure of itself"}}', '{"evaluate": 1.0}', 27, 'bdae79e2151d273e074f1571169cf968901e3f2bc8c57d1f64a5bf9464c14e25');
INSERT INTO public.rounds VALUES (0, '2026-11-26T16:11:23.454241+00:00', '1329227995784915872903807060280344577', '{"select": 0.5}', '{"n_answers": 0, "fidelities": ["rough", "exact"]}', 3, 'afd12ece1fa3b7e93f4f7aeb492de02d9c39a7e258a78271702f0309327ec713');
INSERT INTO public.rounds VALUES (1, '2026-11-26T16:11:23.620859+00:00', '7', '{"fit": 1.0, "train": 2.0, "select": 0.5}', '{"n_answers": 9, "predicted": {"mean": [[-7.5, 1.0]], "std": [[0.75, 0.5]]}, "forecast": {"low": -9.0, "high": -8.0}}', 4, '888ddda991b36c5434d807c7d3957d61427d9b608f161dbb439bd9ac0478d789');
INSERT INTO public.rounds VALUES (2, '2026-11-26T16:11:23.868087+00:00', '8', '{}', '{}', 5, '124dc068433401888fbaabc262cc0f7afbc10e2b582a5f29b801cebc98f91078');
INSERT INTO public.sessions VALUES (1, '2026-11-26T16:11:23.381991+00:00', 'golden', 5506, '{"al-loop": "0.1.0", "python": "3.11.7", "torch": "2.13.0"}', 'al-loop run campaign.yaml', '{"name": "schema-4", "seed": 1267650600228229401496703205383, "environment": {"kind": "fragments", "target": null}, "oracle": {"kind": "human", "target": null, "objectives": ["affinity", "solubility"]}, "optimise": "affinity", "rounds": {"count": 2, "batch_size": 3, "initial": 9, "review": true}}', 6, 'b55a6e1eb07a22399845e394ec7569636d4a98b84c6f56aaadb84e3cbba45b76');
INSERT INTO public.sessions VALUES (2, '2026-11-26T16:11:23.844865+00:00', 'golden', 5506, '{"al-loop": "0.1.0", "python": "3.11.7", "torch": "2.13.0"}', 'al-loop run campaign.yaml', '{"name": "schema-4", "seed": 1267650600228229401496703205383, "environment": {"kind": "fragments", "target": null}, "oracle": {"kind": "human", "target": null, "objectives": ["affinity", "solubility"]}, "optimise": "affinity", "rounds": {"count": 3, "batch_size": 3, "initial": 9, "review": true}}', 7, 'eaae3d9a30e21c253e7d3b51283a80198b3b081d0fa56fe7b5af4a9f42213a4c');
INSERT INTO public.void_attempts VALUES (5, 2, 'no licence file', '2026-11-26T19:26:03.253045+00:00', 66, '8870d5d1ce1ce29fecada04d51bcc35382c237737ccd7ed7d4b6e093ff90186f');
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
ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_pkey PRIMARY KEY (number);
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
CREATE UNIQUE INDEX attempts_entry_key ON public.attempts USING btree (entry);
CREATE UNIQUE INDEX campaign_entry_key ON public.campaign USING btree (entry);
CREATE UNIQUE INDEX candidates_entry_key ON public.candidates USING btree (entry);
CREATE UNIQUE INDEX changes_entry_key ON public.changes USING btree (entry);
CREATE UNIQUE INDEX decisions_entry_key ON public.decisions USING btree (entry);
CREATE UNIQUE INDEX evaluations_entry_key ON public.evaluations USING btree (entry);
CREATE UNIQUE INDEX retries_entry_key ON public.retries USING btree (entry);
CREATE UNIQUE INDEX round_reports_entry_key ON public.round_reports USING btree (entry);
CREATE UNIQUE INDEX rounds_entry_key ON public.rounds USING btree (entry);
CREATE UNIQUE INDEX sessions_entry_key ON public.sessions USING btree (entry);
CREATE UNIQUE INDEX void_attempts_entry_key ON public.void_attempts USING btree (entry);
CREATE TRIGGER al_loop_schema_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.al_loop_schema FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER attempts_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.attempts FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER campaign_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.campaign FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER candidates_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.candidates FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER changes_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.changes FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER decisions_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.decisions FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER evaluations_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.evaluations FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
CREATE TRIGGER links_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.links FOR EACH STATEMENT EXECUTE FUNCTION public.al_loop_refuse_change();
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
