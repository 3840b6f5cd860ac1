import { useId, type ComponentProps } from "react";

type FieldProps = Omit<ComponentProps<"input">, "onChange"> & {
  label: string;
  fault?: string | undefined;
  onChange?: (value: string) => void;
};

/** A labelled text field with its error. */
export function Field({ label, fault, onChange, ...input }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        aria-invalid={fault !== undefined}
        aria-describedby={fault && `${id}-fault`}
        onChange={onChange && (({ target }) => onChange(target.value))}
        {...input}
      />
      {fault && (
        <p id={`${id}-fault`} className="fault" role="alert">
          {label} {fault}
        </p>
      )}
    </div>
  );
}
