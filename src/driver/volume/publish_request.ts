import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { VolumeAttributes } from "../../shared/attributes/volume_attributes.ts";

/** A publish call that was checked field by field. */
export interface PublishRequest {
  readonly volumeId: string;
  readonly volumeName: string;
  readonly targetPath: string;
  readonly pod: PodIdentity;
  /** The user's attributes, verbatim. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly parsed: VolumeAttributes;
  readonly group: number | undefined;
}
