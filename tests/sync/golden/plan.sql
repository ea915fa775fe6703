INSERT INTO `customerio_sync`.`sync_plan` (
  `workspace`,
  `sync`,
  `run_id`,
  `run_date`,
  `person_id`,
  `operation`,
  `phase`,
  `why`,
  `attributes`,
  `removals`,
  `attributes_hash`,
  `source_updated_at`,
  `attempts`,
  `fault_field`,
  `fault_reason`,
  `planned_at`
)
SELECT
  @p AS `workspace`,
  @p AS `sync`,
  @p AS `run_id`,
  @p AS `run_date`,
  `mart`.`person_id`,
  CASE WHEN `mart`.`opted_out` THEN @p ELSE @p END AS `operation`,
  CASE
    WHEN (
      CASE WHEN `mart`.`opted_out` THEN @p ELSE @p END = @p
    )
    THEN @p
    ELSE @p
  END AS `phase`,
  CASE
    WHEN (
      `anon_1`.`attributes_hash` = @p
      AND CASE
        WHEN (
          CASE WHEN `mart`.`opted_out` THEN @p ELSE @p END = @p
        )
        THEN `anon_1`.`state` = @p
        ELSE `anon_1`.`state` = @p
        AND (
          `anon_2`.`outcome` = @p OR `anon_1`.`attributes` = `mart`.`attributes`
        )
      END
    )
    THEN @p
    WHEN (
      CASE WHEN `mart`.`opted_out` THEN @p ELSE @p END = @p
    )
    THEN @p
    WHEN (
      `anon_1`.`person_id` IS NULL
    )
    THEN @p
    WHEN (
      `anon_1`.`state` <> @p
    )
    THEN @p
    WHEN (
      `anon_1`.`mapping_version` <> @p
    )
    THEN @p
    WHEN (
      `anon_1`.`source_updated_at` IS NOT DISTINCT FROM `mart`.`updated_at`
    )
    THEN @p
    ELSE @p
  END AS `why`,
  CASE
    WHEN (
      CASE WHEN `mart`.`opted_out` THEN @p ELSE @p END = @p
    )
    THEN `mart`.`attributes`
  END AS `attributes`,
  CASE
    WHEN (
      CASE WHEN `mart`.`opted_out` THEN @p ELSE @p END = @p AND `anon_1`.`state` = @p
    )
    THEN ARRAY_TO_STRING(
      ARRAY(
        SELECT
          CONCAT(TO_JSON_STRING(k), ':null')
        FROM UNNEST(JSON_KEYS(PARSE_JSON(`anon_1`.`attributes`, wide_number_mode => 'round'), 1)) AS k
        WHERE
          NOT k IN UNNEST(JSON_KEYS(PARSE_JSON(`mart`.`attributes`, wide_number_mode => 'round'), 1))
      ),
      ','
    )
  END AS `removals`,
  `mart`.`attributes_hash`,
  `mart`.`updated_at` AS `source_updated_at`,
  coalesce(`anon_2`.`attempts`, @p) AS `attempts`,
  CASE
    WHEN (
      CASE WHEN `mart`.`opted_out` THEN @p ELSE @p END = @p
      OR `mart`.`fault_field` = @p
    )
    THEN `mart`.`fault_field`
  END AS `fault_field`,
  CASE
    WHEN (
      CASE WHEN `mart`.`opted_out` THEN @p ELSE @p END = @p
      OR `mart`.`fault_field` = @p
    )
    THEN `mart`.`fault_reason`
  END AS `fault_reason`,
  @p AS `planned_at`
FROM (
  SELECT
    `m`.`person_id` AS `person_id`,
    `m`.`updated_at` AS `updated_at`,
    `m`.`opted_out` AS `opted_out`,
    `m`.`attributes` AS `attributes`,
    `m`.`fault_field` AS `fault_field`,
    `m`.`fault_reason` AS `fault_reason`,
    TO_HEX(MD5(`m`.`attributes`)) AS `attributes_hash`
  FROM (
    SELECT
      `customerio_people`.`person_id` AS `person_id`,
      `customerio_people`.`updated_at` AS `updated_at`,
      coalesce(`customerio_people`.`opted_out`, FALSE) AS `opted_out`,
      @p || IFNULL(
        ARRAY_TO_STRING(
          [
            @p || CAST(`customerio_people`.`amount` AS STRING),
            @p || CAST(UNIX_SECONDS(CAST(`customerio_people`.`at` AS TIMESTAMP)) AS STRING),
            @p || CAST((
              UNIX_DATE(`customerio_people`.`day`) * 86400
            ) AS STRING),
            @p || nullif(TO_JSON_STRING(`customerio_people`.`doc`), @p),
            @p || NULLIF(TO_JSON_STRING(CAST(`customerio_people`.`email` AS STRING)), 'null'),
            @p || CASE
              WHEN `customerio_people`.`flag`
              THEN @p
              WHEN (
                NOT `customerio_people`.`flag`
              )
              THEN @p
            END,
            @p || CAST(`customerio_people`.`number` AS STRING),
            @p || CAST(`customerio_people`.`part` AS STRING),
            @p || NULLIF(TO_JSON_STRING(`customerio_people`.`ratio`), 'null'),
            @p || nullif(NULLIF(TO_JSON_STRING(`customerio_people`.`tags`), 'null'), @p),
            @p || CAST(`customerio_people`.`total` AS STRING)
          ],
          ','
        ),
        ''
      ) || @p AS `attributes`,
      CASE
        WHEN (
          `customerio_people`.`person_id` = @p
        )
        THEN @p
        WHEN (
          BYTE_LENGTH(`customerio_people`.`person_id`) > @p
        )
        THEN @p
        WHEN (
          `customerio_people`.`amount` IS NULL AND FALSE
        )
        THEN @p
        WHEN (
          `customerio_people`.`at` IS NULL AND FALSE
        )
        THEN @p
        WHEN (
          `customerio_people`.`day` IS NULL AND FALSE
        )
        THEN @p
        WHEN (
          BYTE_LENGTH(nullif(TO_JSON_STRING(`customerio_people`.`doc`), @p)) > @p
        )
        THEN @p
        WHEN (
          NOT NULLIF(TO_JSON_STRING(`customerio_people`.`doc`), 'null') IS NULL
          AND SAFE.PARSE_JSON(
            NULLIF(TO_JSON_STRING(`customerio_people`.`doc`), 'null'),
            wide_number_mode => 'round'
          ) IS NULL
        )
        THEN @p
        WHEN (
          BYTE_LENGTH(CAST(`customerio_people`.`email` AS STRING)) > @p
        )
        THEN @p
        WHEN (
          `customerio_people`.`part` IS NULL AND FALSE
        )
        THEN @p
        WHEN (
          IS_NAN(`customerio_people`.`ratio`) OR IS_INF(`customerio_people`.`ratio`)
        )
        THEN @p
        WHEN (
          BYTE_LENGTH(nullif(NULLIF(TO_JSON_STRING(`customerio_people`.`tags`), 'null'), @p)) > @p
        )
        THEN @p
        WHEN (
          NOT NULLIF(TO_JSON_STRING(`customerio_people`.`tags`), 'null') IS NULL
          AND SAFE.PARSE_JSON(
            NULLIF(TO_JSON_STRING(`customerio_people`.`tags`), 'null'),
            wide_number_mode => 'round'
          ) IS NULL
        )
        THEN @p
        WHEN (
          `customerio_people`.`total` IS NULL AND FALSE
        )
        THEN @p
      END AS `fault_field`,
      CASE
        WHEN (
          `customerio_people`.`person_id` = @p
        )
        THEN @p
        WHEN (
          BYTE_LENGTH(`customerio_people`.`person_id`) > @p
        )
        THEN @p
        WHEN (
          `customerio_people`.`amount` IS NULL AND FALSE
        )
        THEN @p
        WHEN (
          `customerio_people`.`at` IS NULL AND FALSE
        )
        THEN @p
        WHEN (
          `customerio_people`.`day` IS NULL AND FALSE
        )
        THEN @p
        WHEN (
          BYTE_LENGTH(nullif(TO_JSON_STRING(`customerio_people`.`doc`), @p)) > @p
        )
        THEN @p
        WHEN (
          NOT NULLIF(TO_JSON_STRING(`customerio_people`.`doc`), 'null') IS NULL
          AND SAFE.PARSE_JSON(
            NULLIF(TO_JSON_STRING(`customerio_people`.`doc`), 'null'),
            wide_number_mode => 'round'
          ) IS NULL
        )
        THEN @p
        WHEN (
          BYTE_LENGTH(CAST(`customerio_people`.`email` AS STRING)) > @p
        )
        THEN @p
        WHEN (
          `customerio_people`.`part` IS NULL AND FALSE
        )
        THEN @p
        WHEN (
          IS_NAN(`customerio_people`.`ratio`) OR IS_INF(`customerio_people`.`ratio`)
        )
        THEN @p
        WHEN (
          BYTE_LENGTH(nullif(NULLIF(TO_JSON_STRING(`customerio_people`.`tags`), 'null'), @p)) > @p
        )
        THEN @p
        WHEN (
          NOT NULLIF(TO_JSON_STRING(`customerio_people`.`tags`), 'null') IS NULL
          AND SAFE.PARSE_JSON(
            NULLIF(TO_JSON_STRING(`customerio_people`.`tags`), 'null'),
            wide_number_mode => 'round'
          ) IS NULL
        )
        THEN @p
        WHEN (
          `customerio_people`.`total` IS NULL AND FALSE
        )
        THEN @p
      END AS `fault_reason`
    FROM `analytics`.`customerio_people`
    WHERE
      `customerio_people`.`deleted_at` IS NULL
      AND `customerio_people`.`updated_at` >= @p
      AND `customerio_people`.`updated_at` < @p
  ) AS `m`
) AS `mart`
LEFT OUTER JOIN (
  SELECT
    `synced_people`.`person_id` AS `person_id`,
    `synced_people`.`state` AS `state`,
    `synced_people`.`attributes_hash` AS `attributes_hash`,
    `synced_people`.`attributes` AS `attributes`,
    `synced_people`.`mapping_version` AS `mapping_version`,
    `synced_people`.`source_updated_at` AS `source_updated_at`,
    `synced_people`.`direct` AS `direct`
  FROM `customerio_sync`.`synced_people`
  WHERE
    `synced_people`.`workspace` = @p AND `synced_people`.`sync` = @p
) AS `anon_1`
  ON `anon_1`.`person_id` = `mart`.`person_id`
LEFT OUTER JOIN (
  SELECT
    `dead_letters`.`person_id` AS `person_id`,
    `dead_letters`.`operation` AS `operation`,
    `dead_letters`.`attributes_hash` AS `attributes_hash`
  FROM `customerio_sync`.`dead_letters`
  WHERE
    `dead_letters`.`workspace` = @p
    AND `dead_letters`.`sync` = @p
    AND `dead_letters`.`kind` <> @p
) AS `anon_3`
  ON `anon_3`.`person_id` = `mart`.`person_id`
  AND `anon_3`.`attributes_hash` = `mart`.`attributes_hash`
  AND CASE WHEN (
    `anon_3`.`operation` = @p
  ) THEN @p ELSE `anon_3`.`operation` END = CASE WHEN `mart`.`opted_out` THEN @p ELSE @p END
LEFT OUTER JOIN (
  SELECT
    `open_people`.`person_id` AS `person_id`,
    `open_people`.`operation` AS `operation`,
    `open_people`.`attributes_hash` AS `attributes_hash`,
    `open_people`.`attempts` AS `attempts`,
    `open_people`.`outcome` AS `outcome`
  FROM `customerio_sync`.`open_people`
  WHERE
    `open_people`.`workspace` = @p AND `open_people`.`sync` = @p
) AS `anon_2`
  ON `anon_2`.`person_id` = `mart`.`person_id`
  AND `anon_2`.`attributes_hash` = `mart`.`attributes_hash`
  AND CASE WHEN (
    `anon_2`.`operation` = @p
  ) THEN @p ELSE `anon_2`.`operation` END = CASE WHEN `mart`.`opted_out` THEN @p ELSE @p END
WHERE
  CASE
    WHEN `mart`.`opted_out`
    THEN coalesce((
      NOT `anon_1`.`state` IN UNNEST(@p)
    ) OR `anon_1`.`attributes_hash` = @p, TRUE)
    ELSE `anon_1`.`person_id` IS NULL
    OR `anon_1`.`state` <> @p
    OR `anon_1`.`attributes_hash` IS DISTINCT FROM `mart`.`attributes_hash`
  END
  AND `anon_3`.`person_id` IS NULL
