MERGE INTO `customerio`.`landed_files`
USING (
  SELECT
    `staged_entries`.`path`,
    `staged_entries`.`source`,
    `staged_entries`.`dataset`,
    `staged_entries`.`received_date`,
    `staged_entries`.`status`,
    `staged_entries`.`bytes`,
    `staged_entries`.`checksum`,
    `staged_entries`.`rows`,
    `staged_entries`.`inserted`,
    `staged_entries`.`repeated`,
    `staged_entries`.`quarantined`,
    `staged_entries`.`attempts`,
    `staged_entries`.`reason`,
    `staged_entries`.`run_id`,
    `staged_entries`.`loaded_at`,
    `staged_entries`.`generation`,
    `staged_entries`.`newest_receipt`
  FROM `staged_entries`
) AS source
ON `landed_files`.`path` = source.`path`
AND (
  `landed_files`.`received_date` >= @p AND `landed_files`.`received_date` <= @p
)
WHEN MATCHED THEN UPDATE SET
  `source` = source.`source`,
  `dataset` = source.`dataset`,
  `received_date` = source.`received_date`,
  `status` = source.`status`,
  `bytes` = source.`bytes`,
  `checksum` = source.`checksum`,
  `rows` = source.`rows`,
  `inserted` = source.`inserted`,
  `repeated` = source.`repeated`,
  `quarantined` = source.`quarantined`,
  `attempts` = source.`attempts`,
  `reason` = source.`reason`,
  `run_id` = source.`run_id`,
  `loaded_at` = source.`loaded_at`,
  `generation` = source.`generation`,
  `newest_receipt` = source.`newest_receipt`
WHEN NOT MATCHED THEN INSERT (
  `path`,
  `source`,
  `dataset`,
  `received_date`,
  `status`,
  `bytes`,
  `checksum`,
  `rows`,
  `inserted`,
  `repeated`,
  `quarantined`,
  `attempts`,
  `reason`,
  `run_id`,
  `loaded_at`,
  `generation`,
  `newest_receipt`
) VALUES (
  source.`path`,
  source.`source`,
  source.`dataset`,
  source.`received_date`,
  source.`status`,
  source.`bytes`,
  source.`checksum`,
  source.`rows`,
  source.`inserted`,
  source.`repeated`,
  source.`quarantined`,
  source.`attempts`,
  source.`reason`,
  source.`run_id`,
  source.`loaded_at`,
  source.`generation`,
  source.`newest_receipt`
)
