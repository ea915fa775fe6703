MERGE INTO `customerio_sync`.`synced_people`
USING (
  SELECT
    @p AS `workspace`,
    @p AS `sync`,
    `sync_plan`.`person_id`,
    CASE
      WHEN (
        `sync_plan`.`operation` = @p
      )
      THEN @p
      WHEN (
        `sync_plan`.`operation` = @p
      )
      THEN @p
      ELSE @p
    END AS `state`,
    `sync_plan`.`attributes_hash`,
    `sync_plan`.`attributes`,
    @p AS `mapping_version`,
    `sync_plan`.`source_updated_at`,
    @p AS `synced_at`,
    `sync_plan`.`run_id`,
    @p AS `direct`
  FROM `customerio_sync`.`sync_plan`
  WHERE
    `sync_plan`.`workspace` = @p
    AND `sync_plan`.`sync` = @p
    AND `sync_plan`.`run_date` = @p
    AND `sync_plan`.`run_id` = @p
    AND (
      `sync_plan`.`phase` = @p
      AND (
        NOT `sync_plan`.`person_id` IN (
          SELECT
            `sync_plan`.`person_id`
          FROM `customerio_sync`.`sync_plan`
          WHERE
            `sync_plan`.`workspace` = @p
            AND `sync_plan`.`sync` = @p
            AND `sync_plan`.`run_date` = @p
            AND `sync_plan`.`run_id` = @p
            AND `sync_plan`.`phase` = @p
            AND (
              NOT `sync_plan`.`person_id` IN (
                SELECT
                  `sync_acks`.`person_id`
                FROM `customerio_sync`.`sync_acks`
                WHERE
                  `sync_acks`.`workspace` = @p
                  AND `sync_acks`.`sync` = @p
                  AND `sync_acks`.`run_date` = @p
                  AND `sync_acks`.`run_id` = @p
                  AND `sync_acks`.`phase` = @p
              )
            )
        )
      )
      OR `sync_plan`.`phase` = @p
      AND (
        NOT `sync_plan`.`person_id` IN (
          SELECT
            `sync_plan`.`person_id`
          FROM `customerio_sync`.`sync_plan`
          WHERE
            `sync_plan`.`workspace` = @p
            AND `sync_plan`.`sync` = @p
            AND `sync_plan`.`run_date` = @p
            AND `sync_plan`.`run_id` = @p
            AND `sync_plan`.`phase` = @p
            AND (
              NOT `sync_plan`.`person_id` IN (
                SELECT
                  `sync_acks`.`person_id`
                FROM `customerio_sync`.`sync_acks`
                WHERE
                  `sync_acks`.`workspace` = @p
                  AND `sync_acks`.`sync` = @p
                  AND `sync_acks`.`run_date` = @p
                  AND `sync_acks`.`run_id` = @p
                  AND `sync_acks`.`phase` = @p
              )
            )
        )
      )
    )
    AND `sync_plan`.`operation` <> @p
    AND (
      `sync_plan`.`phase` = @p
      OR (
        NOT `sync_plan`.`person_id` IN (
          SELECT
            `sync_acks`.`person_id`
          FROM `customerio_sync`.`sync_acks`
          WHERE
            `sync_acks`.`workspace` = @p
            AND `sync_acks`.`sync` = @p
            AND `sync_acks`.`run_date` = @p
            AND `sync_acks`.`run_id` = @p
            AND `sync_acks`.`phase` = @p
            AND `sync_acks`.`person_id` IN (
              SELECT
                `sync_plan`.`person_id`
              FROM `customerio_sync`.`sync_plan`
              WHERE
                `sync_plan`.`workspace` = @p
                AND `sync_plan`.`sync` = @p
                AND `sync_plan`.`run_date` = @p
                AND `sync_plan`.`run_id` = @p
                AND `sync_plan`.`phase` = @p
            )
        )
      )
    )
) AS source
ON `synced_people`.`workspace` = source.`workspace`
AND `synced_people`.`sync` = source.`sync`
AND `synced_people`.`person_id` = source.`person_id`
AND (
  `synced_people`.`workspace` = @p AND `synced_people`.`sync` = @p
)
WHEN MATCHED THEN UPDATE SET
  `state` = source.`state`,
  `attributes_hash` = source.`attributes_hash`,
  `attributes` = source.`attributes`,
  `mapping_version` = source.`mapping_version`,
  `source_updated_at` = source.`source_updated_at`,
  `synced_at` = source.`synced_at`,
  `run_id` = source.`run_id`,
  `direct` = source.`direct`
WHEN NOT MATCHED THEN INSERT (
  `workspace`,
  `sync`,
  `person_id`,
  `state`,
  `attributes_hash`,
  `attributes`,
  `mapping_version`,
  `source_updated_at`,
  `synced_at`,
  `run_id`,
  `direct`
) VALUES (
  source.`workspace`,
  source.`sync`,
  source.`person_id`,
  source.`state`,
  source.`attributes_hash`,
  source.`attributes`,
  source.`mapping_version`,
  source.`source_updated_at`,
  source.`synced_at`,
  source.`run_id`,
  source.`direct`
)
