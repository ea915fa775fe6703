INSERT INTO `landed_lines` (
  `file`,
  `line`,
  `text`
)
WITH `read_members` AS (
  SELECT
    `landed_texts`.`text` AS `text`,
    [
      SAFE.JSON_VALUE(`landed_texts`.`text`, '$.object'),
      SAFE.JSON_VALUE(`landed_texts`.`text`, '$.line'),
      SAFE.JSON_VALUE(`landed_texts`.`text`, '$.lines')
    ] AS `members`
  FROM `landed_texts`
), `said` AS (
  SELECT
    `read_members`.`text` AS `text`,
    `read_members`.`members`[ORDINAL(1)] AS `file`,
    IF(
      REGEXP_CONTAINS(`read_members`.`members`[ORDINAL(2)], '^-?[0-9]+$'),
      SAFE_CAST(`read_members`.`members`[ORDINAL(2)] AS INT64),
      NULL
    ) AS `line`,
    IF(
      REGEXP_CONTAINS(`read_members`.`members`[ORDINAL(3)], '^-?[0-9]+$'),
      SAFE_CAST(`read_members`.`members`[ORDINAL(3)] AS INT64),
      NULL
    ) AS `lines`
  FROM `read_members`
)
SELECT
  `said`.`file`,
  `said`.`line`,
  `said`.`text` || @p AS `anon_1`
FROM `said`
