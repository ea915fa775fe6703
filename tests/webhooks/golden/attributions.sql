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
  count(*) AS `lines`,
  count(DISTINCT `said`.`line`) AS `numbers`,
  MIN(`said`.`line`) AS `first`,
  MAX(`said`.`line`) AS `last`,
  MIN(`said`.`lines`) AS `least`,
  MAX(`said`.`lines`) AS `most`
FROM `said`
GROUP BY
  `said`.`file`
LIMIT @p
