INSERT INTO `customerio_sync`.`sync_plan` (
  `workspace`,
  `sync`,
  `run_id`,
  `run_date`,
  `person_id`,
  `event_id`,
  `operation`,
  `phase`,
  `why`,
  `attributes`,
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
  `mart`.`event_id`,
  @p AS `operation`,
  @p AS `phase`,
  CASE
    WHEN (
      `anon_1`.`outcome` = @p
    )
    THEN @p
    WHEN (
      `mart`.`occurred_at` < @p
    )
    THEN @p
    ELSE @p
  END AS `why`,
  `mart`.`payload` AS `attributes`,
  `mart`.`attributes_hash`,
  `mart`.`occurred_at` AS `source_updated_at`,
  coalesce(`anon_1`.`attempts`, @p) AS `attempts`,
  `mart`.`fault_field`,
  `mart`.`fault_reason`,
  @p AS `planned_at`
FROM (
  SELECT
    `m`.`event_id` AS `event_id`,
    `m`.`person_id` AS `person_id`,
    `m`.`occurred_at` AS `occurred_at`,
    `m`.`payload` AS `payload`,
    `m`.`fault_field` AS `fault_field`,
    `m`.`fault_reason` AS `fault_reason`,
    TO_HEX(MD5(`m`.`payload`)) AS `attributes_hash`
  FROM (
    SELECT
      `told`.`event_id` AS `event_id`,
      `told`.`person_id` AS `person_id`,
      `told`.`occurred_at` AS `occurred_at`,
      `told`.`payload` AS `payload`,
      CASE
        WHEN (
          `told`.`fault_field` IS NULL AND BYTE_LENGTH(`told`.`payload`) >= @p
        )
        THEN @p
        ELSE `told`.`fault_field`
      END AS `fault_field`,
      CASE
        WHEN (
          `told`.`fault_field` IS NULL AND BYTE_LENGTH(`told`.`payload`) >= @p
        )
        THEN @p
        ELSE `told`.`fault_reason`
      END AS `fault_reason`
    FROM (
      SELECT
        `rows_of_mart`.`event_id` AS `event_id`,
        `rows_of_mart`.`person_id` AS `person_id`,
        `rows_of_mart`.`occurred_at` AS `occurred_at`,
        @p || coalesce(NULLIF(TO_JSON_STRING(`rows_of_mart`.`person_id`), 'null'), @p) || @p || coalesce(NULLIF(TO_JSON_STRING(`rows_of_mart`.`event_name`), 'null'), @p) || @p || coalesce(
          substr(
            @p,
            CAST((
              CASE
                WHEN (
                  `rows_of_mart`.`occurred_ms` < @p
                )
                THEN @p
                WHEN (
                  `rows_of_mart`.`occurred_ms` > @p
                )
                THEN @p
                ELSE `rows_of_mart`.`occurred_ms`
              END >> @p
            ) & @p AS INT64) + @p,
            @p
          ) || substr(
            @p,
            CAST((
              CASE
                WHEN (
                  `rows_of_mart`.`occurred_ms` < @p
                )
                THEN @p
                WHEN (
                  `rows_of_mart`.`occurred_ms` > @p
                )
                THEN @p
                ELSE `rows_of_mart`.`occurred_ms`
              END >> @p
            ) & @p AS INT64) + @p,
            @p
          ) || substr(
            @p,
            CAST((
              CASE
                WHEN (
                  `rows_of_mart`.`occurred_ms` < @p
                )
                THEN @p
                WHEN (
                  `rows_of_mart`.`occurred_ms` > @p
                )
                THEN @p
                ELSE `rows_of_mart`.`occurred_ms`
              END >> @p
            ) & @p AS INT64) + @p,
            @p
          ) || substr(
            @p,
            CAST((
              CASE
                WHEN (
                  `rows_of_mart`.`occurred_ms` < @p
                )
                THEN @p
                WHEN (
                  `rows_of_mart`.`occurred_ms` > @p
                )
                THEN @p
                ELSE `rows_of_mart`.`occurred_ms`
              END >> @p
            ) & @p AS INT64) + @p,
            @p
          ) || substr(
            @p,
            CAST((
              CASE
                WHEN (
                  `rows_of_mart`.`occurred_ms` < @p
                )
                THEN @p
                WHEN (
                  `rows_of_mart`.`occurred_ms` > @p
                )
                THEN @p
                ELSE `rows_of_mart`.`occurred_ms`
              END >> @p
            ) & @p AS INT64) + @p,
            @p
          ) || substr(
            @p,
            CAST((
              CASE
                WHEN (
                  `rows_of_mart`.`occurred_ms` < @p
                )
                THEN @p
                WHEN (
                  `rows_of_mart`.`occurred_ms` > @p
                )
                THEN @p
                ELSE `rows_of_mart`.`occurred_ms`
              END >> @p
            ) & @p AS INT64) + @p,
            @p
          ) || substr(
            @p,
            CAST((
              CASE
                WHEN (
                  `rows_of_mart`.`occurred_ms` < @p
                )
                THEN @p
                WHEN (
                  `rows_of_mart`.`occurred_ms` > @p
                )
                THEN @p
                ELSE `rows_of_mart`.`occurred_ms`
              END >> @p
            ) & @p AS INT64) + @p,
            @p
          ) || substr(
            @p,
            CAST((
              CASE
                WHEN (
                  `rows_of_mart`.`occurred_ms` < @p
                )
                THEN @p
                WHEN (
                  `rows_of_mart`.`occurred_ms` > @p
                )
                THEN @p
                ELSE `rows_of_mart`.`occurred_ms`
              END >> @p
            ) & @p AS INT64) + @p,
            @p
          ) || substr(
            @p,
            CAST((
              CASE
                WHEN (
                  `rows_of_mart`.`occurred_ms` < @p
                )
                THEN @p
                WHEN (
                  `rows_of_mart`.`occurred_ms` > @p
                )
                THEN @p
                ELSE `rows_of_mart`.`occurred_ms`
              END >> @p
            ) & @p AS INT64) + @p,
            @p
          ) || substr(
            @p,
            CAST((
              CASE
                WHEN (
                  `rows_of_mart`.`occurred_ms` < @p
                )
                THEN @p
                WHEN (
                  `rows_of_mart`.`occurred_ms` > @p
                )
                THEN @p
                ELSE `rows_of_mart`.`occurred_ms`
              END >> @p
            ) & @p AS INT64) + @p,
            @p
          ) || upper(substr(TO_HEX(MD5(@p || `rows_of_mart`.`event_id`)), @p, @p)),
          @p
        ) || @p || coalesce(CAST(UNIX_SECONDS(CAST(`rows_of_mart`.`occurred_at` AS TIMESTAMP)) AS STRING), @p) || @p || IFNULL(
          ARRAY_TO_STRING(
            [
              @p || CAST(`rows_of_mart`.`property_0` AS STRING),
              @p || NULLIF(TO_JSON_STRING(CAST(`rows_of_mart`.`property_1` AS STRING)), 'null'),
              @p || NULLIF(TO_JSON_STRING(`rows_of_mart`.`property_2`), 'null'),
              @p || CAST(UNIX_SECONDS(CAST(`rows_of_mart`.`property_3` AS TIMESTAMP)) AS STRING)
            ],
            ','
          ),
          ''
        ) || @p AS `payload`,
        CASE
          WHEN (
            `rows_of_mart`.`event_id` = @p
          )
          THEN @p
          WHEN (
            coalesce(`rows_of_mart`.`person_id`, @p) = @p
          )
          THEN @p
          WHEN (
            BYTE_LENGTH(`rows_of_mart`.`person_id`) > @p
          )
          THEN @p
          WHEN (
            coalesce(TRIM(`rows_of_mart`.`event_name`), @p) = @p
          )
          THEN @p
          WHEN (
            BYTE_LENGTH(`rows_of_mart`.`event_name`) > @p
          )
          THEN @p
          WHEN (
            `rows_of_mart`.`occurred_at` IS NULL
          )
          THEN @p
          WHEN (
            `rows_of_mart`.`occurred_at` IS NULL AND FALSE
          )
          THEN @p
          WHEN (
            `rows_of_mart`.`property_0` IS NULL AND FALSE
          )
          THEN @p
          WHEN (
            IS_NAN(`rows_of_mart`.`property_2`) OR IS_INF(`rows_of_mart`.`property_2`)
          )
          THEN @p
          WHEN (
            `rows_of_mart`.`property_3` IS NULL AND FALSE
          )
          THEN @p
        END AS `fault_field`,
        CASE
          WHEN (
            `rows_of_mart`.`event_id` = @p
          )
          THEN @p
          WHEN (
            coalesce(`rows_of_mart`.`person_id`, @p) = @p
          )
          THEN @p
          WHEN (
            BYTE_LENGTH(`rows_of_mart`.`person_id`) > @p
          )
          THEN @p
          WHEN (
            coalesce(TRIM(`rows_of_mart`.`event_name`), @p) = @p
          )
          THEN @p
          WHEN (
            BYTE_LENGTH(`rows_of_mart`.`event_name`) > @p
          )
          THEN @p
          WHEN (
            `rows_of_mart`.`occurred_at` IS NULL
          )
          THEN @p
          WHEN (
            `rows_of_mart`.`occurred_at` IS NULL AND FALSE
          )
          THEN @p
          WHEN (
            `rows_of_mart`.`property_0` IS NULL AND FALSE
          )
          THEN @p
          WHEN (
            IS_NAN(`rows_of_mart`.`property_2`) OR IS_INF(`rows_of_mart`.`property_2`)
          )
          THEN @p
          WHEN (
            `rows_of_mart`.`property_3` IS NULL AND FALSE
          )
          THEN @p
        END AS `fault_reason`
      FROM (
        SELECT
          CAST(`customerio_events`.`event_id` AS STRING) AS `event_id`,
          CAST(`customerio_events`.`person_id` AS STRING) AS `person_id`,
          CAST(`customerio_events`.`name` AS STRING) AS `event_name`,
          `customerio_events`.`occurred_at` AS `occurred_at`,
          UNIX_MILLIS(CAST(`customerio_events`.`occurred_at` AS TIMESTAMP)) AS `occurred_ms`,
          `customerio_events`.`amount` AS `property_0`,
          `customerio_events`.`order_id` AS `property_1`,
          `customerio_events`.`ratio` AS `property_2`,
          `customerio_events`.`shipped_at` AS `property_3`
        FROM `analytics`.`customerio_events`
        WHERE
          `customerio_events`.`occurred_at` >= @p
          AND `customerio_events`.`occurred_at` < @p
      ) AS `rows_of_mart`
    ) AS `told`
  ) AS `m`
) AS `mart`
LEFT OUTER JOIN (
  SELECT
    `accepted_events`.`event_id` AS `event_id`,
    `accepted_events`.`attributes_hash` AS `attributes_hash`
  FROM `customerio_sync`.`accepted_events`
  WHERE
    `accepted_events`.`workspace` = @p
    AND `accepted_events`.`sync` = @p
    AND `accepted_events`.`occurred_on` >= @p
    AND `accepted_events`.`occurred_on` <= @p
) AS `anon_2`
  ON `anon_2`.`event_id` = `mart`.`event_id`
LEFT OUTER JOIN (
  SELECT
    `dead_letters`.`event_id` AS `event_id`,
    `dead_letters`.`attributes_hash` AS `attributes_hash`
  FROM `customerio_sync`.`dead_letters`
  WHERE
    `dead_letters`.`workspace` = @p AND `dead_letters`.`sync` = @p
) AS `anon_3`
  ON `anon_3`.`event_id` = `mart`.`event_id`
  AND `anon_3`.`attributes_hash` = `mart`.`attributes_hash`
LEFT OUTER JOIN (
  SELECT
    `open_people`.`event_id` AS `event_id`,
    `open_people`.`attributes_hash` AS `attributes_hash`,
    `open_people`.`attempts` AS `attempts`,
    `open_people`.`outcome` AS `outcome`
  FROM `customerio_sync`.`open_people`
  WHERE
    `open_people`.`workspace` = @p AND `open_people`.`sync` = @p
) AS `anon_1`
  ON `anon_1`.`event_id` = `mart`.`event_id`
  AND `anon_1`.`attributes_hash` = `mart`.`attributes_hash`
WHERE
  `anon_2`.`event_id` IS NULL AND `anon_3`.`event_id` IS NULL
